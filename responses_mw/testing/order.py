"""The legal order of a response's events, checked from outside.

Shares nothing with the assembler, so that a mistake there is not made here as well. What a stream
may look like is the grammar of the protocol:

    stream    := created [queued] in_progress item* (completed | incomplete | failed)
               | created [queued] [in_progress] item* error failed
    item      := output_item.added body output_item.done               (items may overlap)
    message   := (part.added (delta | annotation)* text.done part.done)*
    reasoning := summary parts and content parts, in the same way
    call      := arguments.delta* arguments.done
    hosted    := in_progress step* (completed | failed)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

Event = Mapping[str, Any]

_ENDS = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
_MAY_FOLLOW = {
    "nothing": ("response.created",),
    "response.created": ("response.queued", "response.in_progress", "response.failed"),
    "response.queued": ("response.in_progress", "response.failed"),
    "response.in_progress": tuple(_ENDS),
    "error": ("response.failed",),
}
_STATUS = {"response.queued": ("queued",), "response.in_progress": ("in_progress",)}

# stem of a text event: item type, index key, part types, field of the *.done event
_TEXTS = {
    "response.output_text": ("message", "content_index", "output_text", "text"),
    "response.refusal": ("message", "content_index", "refusal", "refusal"),
    "response.reasoning_text": ("reasoning", "content_index", "reasoning_text", "text"),
    "response.reasoning": ("reasoning", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("reasoning", "summary_index", "summary_text", "text"),
}
_PARTS = {
    "response.content_part": "content_index",
    "response.reasoning_summary_part": "summary_index",
}
# stem of a string event: item type, field of the item and of the *.done event
_STRINGS = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
    "response.mcp_call_arguments": ("mcp_call", "arguments"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "code"),
    "response.apply_patch_call_operation_diff": ("apply_patch_call", "diff"),
}
# Known by their beginning, without rules of their own (some name no item).
_LOOSE = ("response.shell_call_", "response.audio.")
_LISTS = {"content_index": "content", "summary_index": "summary"}
_FIXED = ("id", "type", "name", "call_id", "role")
_UNCHANGING = ("id", "created_at", "model", "previous_response_id", "metadata", "store")
# Recorded streams encrypt these anew each time, and repeat logprobs only in the item.
_OPAQUE = ("encrypted_content", "fingerprint")
_IN_PART = (*_OPAQUE, "logprobs")


def check_event_order(events: Iterable[Any]) -> None:
    """Raises AssertionError that names the first event out of order and the rule it breaks.

    Events are wire JSON, or the official client's objects. The stream must be whole: from
    `response.created` to its one terminal event.
    """
    order = _Order()
    for event in events:
        order.take(event if isinstance(event, Mapping) else event.to_dict())
    order.end()


@dataclass(slots=True)
class _Text:
    """Something said in deltas; `whole` is what its *.done event said."""

    said: str = ""
    whole: str | None = None


@dataclass(slots=True)
class _Part:
    type: str
    text: _Text = field(default_factory=_Text)
    annotations: int = 0
    closed: Mapping[str, Any] | None = None


@dataclass(slots=True)
class _Item:
    added: Mapping[str, Any]
    content: list[_Part] = field(default_factory=list)
    summary: list[_Part] = field(default_factory=list)
    strings: dict[str, _Text] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    done: Mapping[str, Any] | None = None


class _Order:
    def __init__(self) -> None:
        self._event: Event = {}
        self._taken = 0
        self._last = "nothing"
        self._created: Mapping[str, Any] = {}
        self._items: list[_Item] = []

    def take(self, event: Event) -> None:
        self._event = event
        kind = event.get("type")
        self._rule(isinstance(kind, str), "an event has a type")
        self._sequence()
        self._rule(self._last not in _ENDS, "nothing follows the terminal event")
        lifecycle = kind in _ENDS or kind in _MAY_FOLLOW
        if lifecycle or self._last != "response.in_progress":
            self._lifecycle(str(kind))
        elif ":" not in str(kind):  # an extension event: others must be able to ignore it
            self._item_event(str(kind))

    def end(self) -> None:
        self._rule(self._last in _ENDS, "a stream ends with a terminal event")

    def _rule(self, holds: bool, rule: str) -> None:
        if not holds:
            self._fail(rule)

    def _fail(self, rule: str) -> NoReturn:
        kind = self._event.get("type")
        where = f"event {self._taken - 1} ({kind})"
        raise AssertionError(f"{where}: {rule}; the event is {_short(self._event)}")

    def _sequence(self) -> None:
        number = self._event.get("sequence_number")
        self._taken += 1
        self._rule(
            number == self._taken - 1,
            f"sequence_number counts from 0 without gaps: {self._taken - 1} is due, got {number}",
        )

    # --- the response

    def _lifecycle(self, kind: str) -> None:
        allowed = _MAY_FOLLOW[self._last]
        if kind == "error":
            last = self._last
            self._rule(last not in ("nothing", "error"), f"error does not follow {last}")
            error = self._event.get("error")
            told = isinstance(error, Mapping) and bool(error.get("message"))
            self._rule(told, "error has a message")
        else:
            self._rule(kind in allowed, f"after {self._last} comes {' or '.join(allowed)}")
            self._snapshot(kind, self._response())
        self._last = kind

    def _response(self) -> Mapping[str, Any]:
        response = self._event.get("response")
        if not isinstance(response, Mapping):
            self._fail("a lifecycle event carries the response")
        return response

    def _snapshot(self, kind: str, response: Mapping[str, Any]) -> None:
        self._created = self._created or response
        for key in _UNCHANGING:
            self._same(response, self._created, key)
        status = response.get("status")
        if kind in _ENDS:
            self._rule(status == _ENDS[kind], f"the status is {_ENDS[kind]}, not {status!r}")
            self._outcome(kind, response)
            self._output(kind, response.get("output") or [])
            return
        expected = _STATUS.get(kind, ("in_progress", "queued"))
        self._rule(status in expected, f"the status is {' or '.join(expected)}, not {status!r}")
        self._rule(response.get("output") == [], "output is empty until the end")
        for key in ("usage", "completed_at", "error", "incomplete_details"):
            self._rule(response.get(key) is None, f"{key} is null until the end")

    def _outcome(self, kind: str, response: Mapping[str, Any]) -> None:
        details = response.get("incomplete_details") or {}
        finds = {
            "completed_at": response.get("completed_at") is not None,
            "error": response.get("error") is not None,
            "incomplete_details": bool(details.get("reason")),
        }
        wants = {
            "completed_at": kind == "response.completed",
            "error": kind == "response.failed",
            "incomplete_details": kind == "response.incomplete",
        }
        if "completed_at" not in response:  # as in OpenAI's older streams
            del wants["completed_at"]
        for key, wanted in wants.items():
            self._rule(finds[key] is wanted, f"{key} is {'set' if wanted else 'null'} in {kind}")

    def _output(self, kind: str, output: list[Any]) -> None:
        still_open = [index for index, item in enumerate(self._items) if item.done is None]
        failed = kind == "response.failed"
        self._rule(failed or not still_open, f"items {still_open} were never closed")
        said = [(at, item.done) for at, item in enumerate(self._items) if item.done is not None]
        self._rule(failed or len(output) == len(said), "output holds the items that were streamed")
        for index, done in said:
            same = index < len(output) and _visible(output[index]) == _visible(done)
            self._rule(same, f"output[{index}] is the item as it was done")
            if done.get("status") == "incomplete":
                completed = kind == "response.completed"
                self._rule(not completed, "an item is incomplete in a completed response")
                self._rule(index == len(self._items) - 1, "only the last item may be incomplete")

    # --- items

    def _item_event(self, kind: str) -> None:
        if kind == "response.output_item.added":
            self._added()
            return
        if kind.startswith(_LOOSE):
            return
        item = self._item()
        if kind == "response.output_item.done":
            self._done(item)
            return
        self._rule(self._event.get("item_id") == item.added["id"], "item_id is the id of its item")
        stem, _, step = kind.rpartition(".")
        if stem in _PARTS:
            self._part_event(item, _PARTS[stem], step)
        elif stem in _TEXTS:
            self._text_event(item, stem, step)
        elif stem in _STRINGS:
            self._string_event(item, stem, step)
        elif kind == "response.output_text.annotation.added":
            self._annotation(item)
        else:
            self._hosted(item, stem, step)

    def _added(self) -> None:
        item = self._event.get("item")
        if not isinstance(item, Mapping):
            self._fail("output_item.added carries an item")
        index, due = self._event.get("output_index"), len(self._items)
        self._rule(index == due, f"output_index counts up: expected {due}")
        taken = {known.added["id"] for known in self._items}
        own = bool(item.get("id")) and item["id"] not in taken
        self._rule(own, "every item has an id of its own")
        if item.get("type") in ("message", "function_call"):
            self._rule(item.get("status") == "in_progress", "an added item is in_progress")
        match item.get("type"):
            case "message":
                self._rule(item.get("content") == [], "a message is empty when it is added")
                self._rule(item.get("role") == "assistant", "an output message is the assistant's")
            case "function_call":
                self._rule(
                    item.get("arguments") == "", "a call's arguments are empty when it is added"
                )
                self._rule(
                    bool(item.get("name") and item.get("call_id")), "a call has name and call_id"
                )
        self._items.append(_Item(item))

    def _item(self) -> _Item:
        index = self._event.get("output_index")
        if not isinstance(index, int) or not 0 <= index < len(self._items):
            self._fail(f"output_index {index!r} was never added")
        item = self._items[index]
        self._rule(item.done is None, "no event of an item follows its output_item.done")
        return item

    def _done(self, item: _Item) -> None:
        done = self._event.get("item")
        if not isinstance(done, Mapping):
            self._fail("output_item.done carries the item")
        for key in _FIXED:
            self._same(done, item.added, key)
        for parts, key in ((item.content, "content"), (item.summary, "summary")):
            self._rule(
                all(part.closed is not None for part in parts), "the item's parts are closed first"
            )
            if parts or done.get("type") == "message":
                closed = [_visible(part.closed, _IN_PART) for part in parts]
                shown = _visible(done.get(key) or [], _IN_PART)
                self._rule(shown == closed, f"{key} is the parts as they were done")
        self._strings_done(item, done)
        if done.get("type") in ("message", "function_call"):
            ended = done.get("status") in ("completed", "incomplete")
            self._rule(ended, "a done item is completed or incomplete")
        if item.steps and done.get("status") == "completed":
            self._rule(
                item.steps[-1] in ("completed", "failed"), "a hosted call ends before its item"
            )
        item.done = done

    def _strings_done(self, item: _Item, done: Mapping[str, Any]) -> None:
        for stem, (type, key) in _STRINGS.items():
            if stem in item.strings:
                whole = item.strings[stem].whole
                self._rule(whole is not None, f"{stem}.done comes before output_item.done")
                kept = done.get(key, whole)  # a patch keeps its diff deeper inside
                self._rule(kept == whole, f"the item's {key} are those of {stem}.done")
            elif type == "function_call" == done.get("type"):
                self._rule(
                    done.get("status") != "completed", f"a completed call has had {stem}.done"
                )

    # --- what is inside an item

    def _part_event(self, item: _Item, index_key: str, step: str) -> None:
        parts: list[_Part] = getattr(item, _LISTS[index_key])
        shown = self._event.get("part")
        if not isinstance(shown, Mapping):
            self._fail("a part event carries the part")
        if step == "added":
            index = self._event.get(index_key)
            self._rule(index == len(parts), f"{index_key} counts up: expected {len(parts)}")
            self._rule(
                not parts or parts[-1].closed is not None, "one part is closed before the next"
            )
            empty = not any(
                shown.get(key) for key in ("text", "refusal", "annotations", "logprobs")
            )
            self._rule(empty, "a part is empty when it is added")
            parts.append(_Part(str(shown.get("type"))))
            return
        part = self._part(parts, index_key)
        self._rule(part.text.whole is not None, "a part's text is done before the part")
        self._rule(shown.get("type") == part.type, "a part keeps its type")
        self._rule(_said(shown) == part.text.whole, "a part repeats its text")
        count = len(shown.get("annotations") or [])
        self._rule(count == part.annotations, f"a part repeats its {part.annotations} annotations")
        part.closed = shown

    def _part(self, parts: list[_Part], index_key: str) -> _Part:
        index = self._event.get(index_key)
        if not isinstance(index, int) or not 0 <= index < len(parts):
            self._fail(f"{index_key} {index!r} was never added")
        self._rule(parts[index].closed is None, "no event of a part follows its part.done")
        return parts[index]

    def _text_event(self, item: _Item, stem: str, step: str) -> None:
        type, index_key, part_type, key = _TEXTS[stem]
        self._rule(item.added.get("type") == type, f"{stem} belongs to a {type}")
        part = self._part(getattr(item, _LISTS[index_key]), index_key)
        self._rule(part.type == part_type, f"{stem} belongs to a part of type {part_type}")
        self._said(part.text, step, key)

    def _string_event(self, item: _Item, stem: str, step: str) -> None:
        type, key = _STRINGS[stem]
        self._rule(item.added.get("type") == type, f"{stem} belongs to a {type}")
        self._said(item.strings.setdefault(stem, _Text()), step, key)

    def _said(self, text: _Text, step: str, key: str) -> None:
        self._rule(text.whole is None, "nothing is said after the text was done")
        if step == "delta":
            delta = self._event.get("delta")
            self._rule(isinstance(delta, str), "a delta is a string")
            text.said += str(delta)
            return
        self._rule(step == "done", f"{step!r} is neither delta nor done")
        self._rule(self._event.get(key) == text.said, f"{key} is the sum of its deltas")
        text.whole = text.said

    def _annotation(self, item: _Item) -> None:
        part = self._part(item.content, "content_index")
        self._rule(part.type == "output_text", "an annotation belongs to an output_text part")
        self._rule(part.text.whole is None, "annotations come before the text is done")
        index = self._event.get("annotation_index")
        self._rule(
            index == part.annotations, f"annotation_index counts up: expected {part.annotations}"
        )
        part.annotations += 1

    def _hosted(self, item: _Item, stem: str, step: str) -> None:
        type = str(item.added.get("type"))
        self._rule(stem == f"response.{type}", f"an item of type {type} has no such event")
        self._rule(
            bool(item.steps) or step == "in_progress", "a hosted call begins with in_progress"
        )
        ended = bool(item.steps) and item.steps[-1] in ("completed", "failed")
        self._rule(not ended, "nothing follows the end of a hosted call")
        item.steps.append(step)

    def _same(self, now: Mapping[str, Any], before: Mapping[str, Any], key: str) -> None:
        same = now.get(key) == before.get(key)
        self._rule(same, f"{key} never changes: {before.get(key)!r} became {now.get(key)!r}")


def _said(part: Mapping[str, Any]) -> Any:
    return part.get("refusal") if part.get("type") == "refusal" else part.get("text")


def _visible(value: Any, without: tuple[str, ...] = _OPAQUE) -> Any:
    if isinstance(value, Mapping):
        return {key: _visible(inner, without) for key, inner in value.items() if key not in without}
    if isinstance(value, list):
        return [_visible(inner, without) for inner in value]
    return value


def _short(event: Event, limit: int = 300) -> str:
    text = repr(dict(event))
    return text if len(text) <= limit else text[:limit] + "..."
