"""One output item while it is being said: what it opens with, grows by and closes with.

Each method returns the events it causes, without sequence numbers; the assembler stamps those. What
an item of one type looks like on the wire stands here and nowhere else.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Literal

import orjson

Event = dict[str, Any]
Item = dict[str, Any]
Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ItemStatus = Literal["completed", "incomplete"]
RawReasoning = Literal["openai", "openresponses"]


class DeltaRun:
    """Events of one part of text, one after another, which are many: dicts are made of them for
    those who read them, and bytes without that for those who send them on."""

    __slots__ = ("first", "frame", "head", "texts")

    def __init__(self, head: Event, frame: bytes, texts: Sequence[str]) -> None:
        """`head` is what stands before the text in each, `frame` all that stands around it."""
        self.head = head
        self.frame = frame
        self.texts = texts
        self.first = 0
        """Their sequence numbers begin there."""

    def events(self) -> list[Event]:
        return [
            {**self.head, "delta": text, "logprobs": [], "sequence_number": number}
            for number, text in enumerate(self.texts, self.first)
        ]

    def encoded(self) -> bytes:
        """As server-sent events."""
        numbered = zip(map(orjson.dumps, self.texts), count(self.first), strict=False)
        return b"".join(map(self.frame.__mod__, numbered))


def _frame(head: Event) -> bytes:
    """To be filled with a text, as JSON, and a number."""
    written = b"event: %b\ndata: %b" % (head["type"].encode(), orjson.dumps(head)[:-1])
    return written.replace(b"%", b"%%") + b',"delta":%b,"logprobs":[],"sequence_number":%d}\n\n'


Told = Event | DeltaRun


def end_of(told: Told) -> int:
    """The number of the event after it."""
    if isinstance(told, DeltaRun):
        return told.first + len(told.texts)
    number: int = told["sequence_number"]
    return number + 1


def singly(told: Iterable[Told]) -> list[Event]:
    """Every event by itself."""
    events: list[Event] = []
    for each in told:
        if isinstance(each, DeltaRun):
            events += each.events()
        else:
            events.append(each)
    return events


class OpenText:
    """A content part that is streamed as text: output_text, refusal, reasoning_text or
    summary_text."""

    __slots__ = ("_delta", "_frame", "_pieces", "annotations", "logprobs", "place", "stem", "type")

    def __init__(self, type: str, stem: str, place: dict[str, Any]) -> None:
        self.type = type
        self.stem = stem
        self.place = place
        self._delta = {"type": stem + ".delta", **place}
        self._frame: bytes | None = None
        self.annotations: list[Mapping[str, Any]] = []
        self.logprobs: list[Mapping[str, Any]] = []
        self._pieces: list[str] = []

    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def part(self, text: str | None = None) -> dict[str, Any]:
        text = self.text() if text is None else text
        match self.type:
            case "output_text":
                annotations, logprobs = list(self.annotations), list(self.logprobs)
                return {
                    "type": "output_text",
                    "text": text,
                    "annotations": annotations,
                    "logprobs": logprobs,
                }
            case "refusal":
                return {"type": "refusal", "refusal": text}
            case other:
                return {"type": other, "text": text}

    def opened(self) -> Event:
        return {"type": self._part_stem() + ".added", **self.place, "part": self.part("")}

    def delta(self, text: str, logprobs: Sequence[Mapping[str, Any]] = ()) -> Event:
        self._pieces.append(text)
        event = {**self._delta, "delta": text}
        if self.type == "output_text":
            self.logprobs.extend(logprobs)
            event["logprobs"] = list(logprobs)
        return event

    def run(self, texts: Sequence[str]) -> DeltaRun:
        """Of an output_text."""
        self._pieces += texts
        if self._frame is None:
            self._frame = _frame(self._delta)
        return DeltaRun(self._delta, self._frame, texts)

    def annotate(self, annotation: Mapping[str, Any]) -> Event:
        index = len(self.annotations)
        self.annotations.append(annotation)
        return {
            "type": "response.output_text.annotation.added",
            **self.place,
            "annotation_index": index,
            "annotation": annotation,
        }

    def closed(self) -> list[Event]:
        part = self.part()
        field = "refusal" if self.type == "refusal" else "text"
        done = {"type": self.stem + ".done", **self.place, field: part[field]}
        if self.type == "output_text":
            done["logprobs"] = part["logprobs"]
        return [done, {"type": self._part_stem() + ".done", **self.place, "part": part}]

    def _part_stem(self) -> str:
        if self.type == "summary_text":
            return "response.reasoning_summary_part"
        return "response.content_part"


class OpenItem:
    """What the three kinds share. `finished` means: closes as soon as anything follows it."""

    def __init__(self, item: Item, output_index: int) -> None:
        self.item = item
        self.output_index = output_index
        self.finished = False

    def opened(self) -> list[Event]:
        return [self._event("added", {**self.item})]

    def closed(self, status: ItemStatus) -> list[Event]:
        self.item = {**self.snapshot(), "status": status}
        return [self._event("done", self.item)]

    def snapshot(self) -> Item:
        return self.item

    def _event(self, kind: str, item: Item) -> Event:
        return {
            "type": f"response.output_item.{kind}",
            "output_index": self.output_index,
            "item": item,
        }


class OpenMessage(OpenItem):
    def __init__(self, id: str, output_index: int, phase: str | None) -> None:
        item: Item = {
            "id": id,
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        if phase is not None:
            item["phase"] = phase
        super().__init__(item, output_index)
        self._part: OpenText | None = None
        self._parts: list[dict[str, Any]] = []

    def text(self, text: str, logprobs: Sequence[Mapping[str, Any]] = ()) -> list[Event]:
        part = self._part
        if part is not None and part.type == "output_text":
            return [part.delta(text, logprobs)]
        return [*self._open_part("output_text"), self._last().delta(text, logprobs)]

    def run(self, texts: Sequence[str]) -> list[Told]:
        opening: list[Told] = []
        if self._part is None or self._part.type != "output_text":
            opening += self._open_part("output_text")
        return [*opening, self._last().run(texts)]

    def refusal(self, text: str) -> list[Event]:
        if self._part is not None and self._part.type == "refusal":
            return [self._part.delta(text)]
        return [*self._open_part("refusal"), self._last().delta(text)]

    def annotate(self, annotation: Mapping[str, Any]) -> list[Event]:
        if self._part is not None and self._part.type == "output_text":
            return [self._part.annotate(annotation)]
        return [*self._open_part("output_text"), self._last().annotate(annotation)]

    def closed(self, status: ItemStatus) -> list[Event]:
        events = [] if self._part or self._parts else self._open_part("output_text")
        return [*events, *self.close_part(), *super().closed(status)]

    def snapshot(self) -> Item:
        open_part = [] if self._part is None else [self._part.part()]
        return {**self.item, "content": [*self._parts, *open_part]}

    def _open_part(self, type: str) -> list[Event]:
        closing = self.close_part()
        place = {
            "item_id": self.item["id"],
            "output_index": self.output_index,
            "content_index": len(self._parts),
        }
        self._part = OpenText(type, f"response.{type}", place)
        return [*closing, self._part.opened()]

    def close_part(self) -> list[Event]:
        if self._part is None:
            return []
        events = self._part.closed()
        self._parts.append(events[-1]["part"])
        self._part = None
        return events

    def _last(self) -> OpenText:
        assert self._part is not None
        return self._part


class OpenReasoning(OpenItem):
    """Thinking is shown as a summary: OpenAI and Open Responses name the raw events differently.

    With `raw_reasoning` a raw chain of thought goes into `content` under the names of the one or
    the other.
    """

    def __init__(self, id: str, output_index: int, raw_reasoning: RawReasoning | None) -> None:
        item: Item = {"id": id, "type": "reasoning", "status": "in_progress", "summary": []}
        super().__init__(item, output_index)
        self._raw_reasoning = raw_reasoning
        self._part: OpenText | None = None
        self._done: list[dict[str, Any]] = []
        self.encrypted_content: str | None = None

    def think(self, text: str, *, raw: bool) -> list[Event]:
        if not text and self._part is None:
            return []
        type = "reasoning_text" if raw and self._raw_reasoning is not None else "summary_text"
        opening = []
        if self._part is None or self._part.type != type:
            opening = [*self.close_part(), *self._open_part(type)]
        assert self._part is not None
        return [*opening, self._part.delta(text)]

    def closed(self, status: ItemStatus) -> list[Event]:
        return [*self.close_part(), *super().closed(status)]

    def snapshot(self) -> Item:
        parts = self._done if self._part is None else [*self._done, self._part.part()]
        item = {**self.item, "summary": [p for p in parts if p["type"] == "summary_text"]}
        if content := [p for p in parts if p["type"] == "reasoning_text"]:
            item["content"] = content
        if self.encrypted_content is not None:
            item["encrypted_content"] = self.encrypted_content
        return item

    def _open_part(self, type: str) -> list[Event]:
        same = sum(part["type"] == type for part in self._done)
        index = "summary_index" if type == "summary_text" else "content_index"
        place = {"item_id": self.item["id"], "output_index": self.output_index, index: same}
        stem = "response.reasoning_summary_text"
        if type == "reasoning_text":
            openai = self._raw_reasoning == "openai"
            stem = "response.reasoning_text" if openai else "response.reasoning"
        self._part = OpenText(type, stem, place)
        return [self._part.opened()]

    def close_part(self) -> list[Event]:
        if self._part is None:
            return []
        events = self._part.closed()
        self._done.append(events[-1]["part"])
        self._part = None
        return events


class OpenCall(OpenItem):
    """Arguments that never came are an empty object: the model called a function without
    parameters."""

    def __init__(
        self, id: str, output_index: int, *, name: str, call_id: str, extra: Mapping[str, Any]
    ) -> None:
        item: Item = {
            **extra,
            "id": id,
            "type": "function_call",
            "status": "in_progress",
            "call_id": call_id,
            "name": name,
            "arguments": "",
        }
        super().__init__(item, output_index)
        self._pieces: list[str] = []
        self._place = {"item_id": id, "output_index": output_index}

    def argue(self, arguments: str) -> list[Event]:
        self._pieces.append(arguments)
        type = "response.function_call_arguments.delta"
        return [{"type": type, **self._place, "delta": arguments}]

    def closed(self, status: ItemStatus) -> list[Event]:
        opening = (
            [] if "".join(self._pieces).strip() or status == "incomplete" else self.argue("{}")
        )
        arguments = "".join(self._pieces)
        done = {
            "type": "response.function_call_arguments.done",
            **self._place,
            "name": self.item["name"],
            "arguments": arguments,
        }
        return [*opening, done, *super().closed(status)]

    def snapshot(self) -> Item:
        return {**self.item, "arguments": "".join(self._pieces)}


def characters(text: str) -> str:
    """A lone surrogate cannot be sent as UTF-8; it becomes U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
