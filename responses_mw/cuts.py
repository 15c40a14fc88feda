"""How an answer came in pieces, kept small: with its output, the deltas can be told again.

A cut list has one group for each run of like deltas: `[kind, output_index, lengths...]`, so that a
thousand deltas cost a thousand small numbers. The words themselves stand in the output only, but
for events that were passed through: what they said besides cannot be made again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from responses_mw.canonical import DONE
from responses_mw.deltas import (
    AnnotationAdded,
    Canonical,
    Delta,
    ItemFinished,
    MessageStarted,
    OutputItem,
    PartFinished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from responses_mw.output_items import Item

Group = list[Any]

TEXT, LOGPROBS, REFUSAL, SUMMARY, CONTENT, ANNOTATION, STARTED, CALL, ARGUMENTS, WHOLE, FINISHED = (
    range(11)
)
PART, PASSED = 11, 12

_NO_ITEM = -1
_NONE: Group = [None, None]
_CALL_FIELDS = {"id", "type", "status", "call_id", "name", "arguments"}


class CutList:
    """Written by the assembler while it works; `groups` is JSON, `chars` how much was said, and
    `besides` how much that is no text, as JSON roughly."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.chars = 0
        self.besides = 0

    def weigh(self, said: Any) -> None:
        """JSON that is kept besides the text."""
        self.besides += _weight(said)

    def add_text(self, index: int, length: int) -> None:
        """What `add` does for most deltas of most answers."""
        last = self.groups[-1] if self.groups else _NONE
        if last[0] == TEXT and last[1] == index:
            last.append(length)
        else:
            self.groups.append([TEXT, index, length])
        self.chars += length

    def add_run(self, index: int, texts: Sequence[str]) -> None:
        lengths = list(map(len, texts))
        last = self.groups[-1] if self.groups else _NONE
        if last[0] == TEXT and last[1] == index:
            last += lengths
        else:
            self.groups.append([TEXT, index, *lengths])
        self.chars += sum(lengths)

    def add(self, kind: int, index: int, *lengths: int) -> None:
        """Lengths join the last group if it is of the same kind and item."""
        self.chars += sum(lengths)
        last = self.groups[-1] if self.groups else None
        if lengths and last is not None and last[0] == kind and last[1] == index:
            last.extend(lengths)
        else:
            self.groups.append([kind, index, *lengths])

    def add_passed(self, event: Mapping[str, Any]) -> None:
        """A passed event, as ours; what a finished item is, the output says."""
        kept = dict(event)
        if kept["type"] == DONE:
            del kept["item"]
        self.chars += sum(len(value) for value in kept.values() if isinstance(value, str))
        self.weigh([value for value in event.values() if not isinstance(value, str)])
        self.groups.append([PASSED, event.get("output_index", _NO_ITEM), kept])


def _weight(value: Any) -> int:
    match value:
        case str():
            return len(value)
        case Mapping():
            return sum(len(key) + _weight(entry) for key, entry in value.items())
        case list() | tuple():
            return sum(map(_weight, value))
    return 0


def whole(output: Sequence[Item]) -> list[Group]:
    """The cuts of an answer that came in one piece."""
    cuts = CutList()
    for index, item in enumerate(output):
        match item["type"]:
            case "message":
                cuts.add(STARTED, index)
                for n, part in enumerate(item["content"]):
                    if n:
                        cuts.add(PART, index)
                    _whole_part(cuts, index, part)
            case "reasoning":
                cuts.add(SUMMARY, index, 0)
                for n, part in enumerate([*item["summary"], *item.get("content", ())]):
                    if n:
                        cuts.add(PART, index)
                    summary = part["type"] == "summary_text"
                    cuts.add(SUMMARY if summary else CONTENT, index, len(part["text"]))
            case "function_call":
                cuts.add(CALL, index)
                cuts.add(ARGUMENTS, index, len(item["arguments"]))
            case _:
                cuts.add(WHOLE, index)
        cuts.add(FINISHED, index)
    return cuts.groups


def _whole_part(cuts: CutList, index: int, part: dict[str, Any]) -> None:
    if part["type"] == "refusal":
        cuts.add(REFUSAL, index, len(part["refusal"]))
        return
    if part.get("logprobs"):
        cuts.add(LOGPROBS, index, len(part["text"]), len(part["logprobs"]))
    else:
        cuts.add(TEXT, index, len(part["text"]))
    for _ in part.get("annotations", ()):
        cuts.add(ANNOTATION, index)


def deltas(output: Sequence[Item], groups: Sequence[Group]) -> Iterator[Delta]:
    """The answer again, in the pieces it came in. Calls are keyed by their output index."""
    readers: dict[int, _Reader] = {}
    for kind, index, *lengths in groups:
        if index == _NO_ITEM:
            yield from map(Canonical, lengths)
            continue
        reader = readers.setdefault(index, _Reader(output[index]))
        yield from reader.read(kind, index, lengths)
    for index in range(len(readers), len(output)):
        # What hangs on no delta: the reasoning item that carries a seal at the end of a turn.
        if output[index]["type"] == "reasoning":
            yield ReasoningDelta("")


class _Reader:
    """Reads one item from its beginning, piece by piece."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._parts: dict[str, int] = {}
        self._last_list = ""
        self._offset = 0
        self._logprob = 0
        self._annotation = 0

    def read(self, kind: int, index: int, lengths: list[Any]) -> Iterator[Delta]:
        if kind in _TEXTS:
            yield from self._texts(kind, lengths)
        elif kind == ARGUMENTS:
            for piece in self._pieces(self._item["arguments"], lengths):
                yield ToolCallDelta(index, piece)
        elif kind == ANNOTATION:
            part = self._part("content", "output_text")
            yield AnnotationAdded(part["annotations"][self._annotation])
            self._annotation += 1
        elif kind == PASSED:
            for event in lengths:
                done = event["type"] == DONE
                yield Canonical({**event, "item": self._item} if done else event, index)
        elif kind == FINISHED:
            yield ItemFinished(index if self._item["type"] == "function_call" else None)
        else:
            yield self._opened(kind, index)

    def _opened(self, kind: int, index: int) -> Delta:
        if kind == PART:
            self._last_list = ""
            return PartFinished()
        if kind == STARTED:
            return MessageStarted(self._item.get("phase"))
        if kind == CALL:
            extra = {key: self._item[key] for key in self._item if key not in _CALL_FIELDS}
            return ToolCallStarted(index, self._item["name"], self._item["call_id"], extra)
        return OutputItem(self._item)

    def _texts(self, kind: int, lengths: list[int]) -> Iterator[Delta]:
        list_name, type = _TEXTS[kind]
        if kind == LOGPROBS:
            part = self._part(list_name, type)
            for piece, count in zip(
                self._pieces(part["text"], lengths[::2]), lengths[1::2], strict=True
            ):
                logprobs = part["logprobs"][self._logprob : self._logprob + count]
                self._logprob += count
                yield TextDelta(piece, logprobs)
            return
        if kind in (SUMMARY, CONTENT) and not self._parts and lengths[0] == 0:
            # Thinking that began without a word: there is no part yet.
            yield ReasoningDelta("")
            lengths = lengths[1:]
            if not lengths:
                return
        part = self._part(list_name, type)
        for piece in self._pieces(part["refusal" if kind == REFUSAL else "text"], lengths):
            if kind == TEXT:
                yield TextDelta(piece)
            elif kind == REFUSAL:
                yield RefusalDelta(piece)
            else:
                yield ReasoningDelta(piece, raw=kind == CONTENT)

    def _pieces(self, text: str, lengths: Sequence[int]) -> Iterator[str]:
        for length in lengths:
            yield text[self._offset : self._offset + length]
            self._offset += length

    def _part(self, list_name: str, type: str) -> dict[str, Any]:
        """The part being read; another type of text begins the next part of that type."""
        parts: list[dict[str, Any]] = self._item[list_name]
        at = self._parts.get(list_name, -1)
        if at < 0 or self._last_list != list_name or parts[at]["type"] != type:
            at = next(n for n in range(at + 1, len(parts)) if parts[n]["type"] == type)
            self._parts[list_name] = at
            self._last_list = list_name
            self._offset = self._logprob = self._annotation = 0
        return parts[at]


_TEXTS = {
    TEXT: ("content", "output_text"),
    LOGPROBS: ("content", "output_text"),
    REFUSAL: ("content", "refusal"),
    SUMMARY: ("summary", "summary_text"),
    CONTENT: ("content", "reasoning_text"),
}
