"""Items of an upstream that speaks Responses itself, passed through in the upstream's own events.

What an event must be given to belong to our response (our id, our index) and what closes an item
whose end never came is decided here; when an item opens, and its number, by the assembler.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from responses_mw.output_items import Event, Item, ItemStatus, OpenItem

ADDED = "response.output_item.added"
DONE = "response.output_item.done"

_WHOLE_FIELDS = {
    "response.custom_tool_call_input": "input",
    "response.mcp_call_arguments": "arguments",
    "response.code_interpreter_call_code": "code",
    "response.apply_patch_call_operation_diff": "diff",
}
"""Of texts that are told in deltas: the field of the *.done event that repeats them."""

_NEVER_INCOMPLETE = ("web_search_call", "image_generation_call")
"""OpenAI knows these as failed only."""


class PassedItems:
    """Those that are open, under the names that their upstream's decoder gives them."""

    def __init__(self) -> None:
        self._open: dict[Hashable, PassedItem] = {}

    def begin(self, key: Hashable, item: Item, id: str, output_index: int) -> OpenItem:
        passed = self._open[key] = PassedItem(item, id, output_index)
        return passed

    def take(self, key: Hashable, event: Mapping[str, Any], about: OpenItem | None) -> Event:
        """The same event as ours. `about`: the item of an event that belongs to none of these."""
        item = self._open.get(key)
        if item is None:
            return placed(event, about)
        taken = item.take(event)
        if item.finished:
            del self._open[key]
        return taken

    def closed(self, last: OpenItem | None, *, incomplete: bool) -> list[Event]:
        """Only the response's last item may be incomplete."""
        items, self._open = self._open, {}
        return [
            event
            for item in items.values()
            for event in item.closed("incomplete" if incomplete and item is last else "completed")
        ]


class PassedItem(OpenItem):
    def __init__(self, item: Item, id: str, output_index: int) -> None:
        super().__init__({**item, "id": id}, output_index)
        self._texts: dict[str, list[str]] = {}

    def take(self, event: Mapping[str, Any]) -> Event:
        """After `output_item.done` the item is finished."""
        taken = placed(event, self)
        if event["type"] == ADDED:
            taken["item"] = dict(self.item)
        if event["type"] == DONE:
            self.item = taken["item"] = {**event["item"], "id": self.item["id"]}
            self.finished = True
            return taken
        stem, _, step = str(event["type"]).rpartition(".")
        if stem in _WHOLE_FIELDS:
            if step == "delta":
                self._texts.setdefault(stem, []).append(str(event.get("delta", "")))
            else:
                self._texts.pop(stem, None)
                self._write(stem, event.get(_WHOLE_FIELDS[stem]))
        return taken

    def closed(self, status: ItemStatus) -> list[Event]:
        """Without the upstream's own end, what was said is all there is."""
        place = {"item_id": self.item["id"], "output_index": self.output_index}
        ends: list[Event] = []
        for stem, pieces in self._texts.items():
            field, text = _WHOLE_FIELDS[stem], "".join(pieces)
            ends.append({"type": f"{stem}.done", **place, field: text})
            self._write(stem, text)
        failed = status != "incomplete" or self.item["type"] in _NEVER_INCOMPLETE
        self.item = {**self.item, "status": "failed" if failed else "incomplete"}
        self.finished = True
        return [*ends, self._event("done", self.item)]

    def _write(self, stem: str, text: Any) -> None:
        field = _WHOLE_FIELDS[stem]
        if field in self.item:  # a patch has its diff deeper inside
            self.item = {**self.item, field: text}


def placed(event: Mapping[str, Any], item: OpenItem | None) -> Event:
    """A copy of the event that names our item wherever it named theirs."""
    taken = {key: value for key, value in event.items() if key != "sequence_number"}
    if item is not None:
        if "item_id" in taken:
            taken["item_id"] = item.item["id"]
        if "output_index" in taken:
            taken["output_index"] = item.output_index
    return taken
