"""Reads events that are the same bytes as an earlier one but for their text.

Most events of a stream are: whatever stands around the words was parsed once and need not be parsed
again. What is read so is what the format's own reader would have said; whatever differs in anything
else is left to that reader. Only of events that are no JSON this is not promised: texts are read
together.
"""

import re
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from responses_mw.deltas import Delta
from responses_mw.sse import ServerSentEvent

Said = Callable[[Any], str | None]
"""What a parsed event says, if it says that and does nothing else; None for every other event."""

_TRIES = 6
"""Servers that put something new into each event (padding, a counter) are not worth more."""
LONGEST = 4096
"""Bytes of an event that is learned where learning takes more than one look: to read it once for
each of its numbers, or to compile its shape, costs more for a longer one than it ever saves."""
_PROBE = "probe \u2026 \n"
_END = b"\n\n"
_ONLY_CLOSING = re.compile(rb"[ }]+")
STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'


class Repeating(Protocol):
    """What a decoder has whose events repeat."""

    repeats: "Repeats"

    def again(self, texts: list[str]) -> list[Delta]:
        """What as many events like the one that was learned say."""
        ...


class Repeats:
    """Of one stream. `field` is the name under which an event holds its text."""

    def __init__(self, field: bytes, said: Said) -> None:
        self._literal = re.compile(b'"' + field + rb'"\s*:\s*(' + STRING + b")")
        self._said = said
        self._tries = 0
        self.known = b""
        """What stands before the text of the event that was learned, framing included."""
        self._start = self._after = b""
        self._close = self._between = b""
        self._padded = False

    def begin(self) -> None:
        """From now on events are looked at. Nothing is learned where nobody would ask for it."""
        self._tries = _TRIES

    @property
    def learning(self) -> bool:
        """No event is known yet, but one may be."""
        return not self.known and self._tries > 0

    def learn(self, event: ServerSentEvent, parsed: Any) -> bool:
        """Looks at an event that the format's reader has read. True if that is the one known from
        now on."""
        if self._tries == 0 or (self.known and event.data.startswith(self._start)):
            return False
        found = list(self._literal.finditer(event.data))
        if len(found) != 1 or not (text := self._said(parsed)) or not is_said(found[0][1], text):
            return False
        start, end = found[0].span(1)
        before, after = event.data[:start], event.data[end:]
        self._tries -= 1
        if not self._says_only_text(before, after):
            return False
        name = b"" if event.event is None else b"event: %b\n" % event.event.encode()
        framed = name + b"data: " + before
        self._padded = _ONLY_CLOSING.fullmatch(after) is not None
        self._start = before
        self.known, self._after = framed, after.replace(b" ", b"") if self._padded else after
        self._close = _END if self._padded else after + _END
        self._between = self._close + framed
        return True

    def _says_only_text(self, before: bytes, after: bytes) -> bool:
        """Whatever the text is: another one is put in its place and read."""
        try:
            probe = orjson.loads(before + orjson.dumps(_PROBE) + after)
        except orjson.JSONDecodeError:  # half of a character stands outside of the text
            return False
        return self._said(probe) == _PROBE

    def cut(self, chunk: bytes) -> tuple[bytes, list[str], bytes] | None:
        """What comes before the first event that is known, their texts, and what comes after the
        last one. None if that cannot be told. `chunk` begins with an event."""
        start = self._first(chunk)
        if start < 0:
            return None
        end = self._end(chunk)
        if end < start:
            return None
        strings = chunk[start + len(self.known) : end].split(self._between)
        if self._padded:
            strings = list(map(self._without_padding, strings))
        texts = texts_of(strings)
        if texts is None:
            return None
        return chunk[:start], texts, chunk[end + len(self._close) :]

    def _first(self, chunk: bytes) -> int:
        """Where the first event that is known begins; -1 if none does."""
        start = chunk.find(self.known) if self.known else -1
        return start if start <= 0 or chunk.endswith(_END, 0, start) else -1

    def _end(self, chunk: bytes) -> int:
        """Where the last event that is known and whole closes."""
        if not self._padded:
            return chunk.rfind(self._close)
        last = chunk.rfind(self.known)
        end = chunk.find(_END, last)
        return end if end >= 0 else last - len(_END)

    def _without_padding(self, event: bytes) -> bytes:
        """The JSON string; something that is no JSON if what follows is something else."""
        string = event.rstrip(b" }")
        return string if self._follows(event[len(string) :]) else b""

    def _follows(self, after: bytes) -> bool:
        """Some servers pad their events with spaces, against those who count bytes."""
        return (after.replace(b" ", b"") if self._padded else after) == self._after


def is_said(literal: bytes, text: str) -> bool:
    try:
        said: bool = orjson.loads(literal) == text
    except orjson.JSONDecodeError:
        return False
    return said


def texts_of(strings: list[bytes]) -> list[str] | None:
    """What JSON strings say; None if one is something else, or several."""
    try:
        texts: list[str] = orjson.loads(b"[%b]" % b",".join(strings))
    except ValueError:
        return None
    if len(texts) != len(strings) or not {str}.issuperset(map(type, texts)):
        return None
    return texts
