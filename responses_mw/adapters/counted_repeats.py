"""Reads by likeness (see `repeats`) where every event tells the counts so far: numbers behind the
text that change from one event to the next and say nothing by themselves.

Only the last counts of a read matter, so its last event is left to the format's own reader.
"""

import re
from typing import Any

from responses_mw.adapters.repeats import LONGEST, Repeats, is_said, texts_of
from responses_mw.sse import ServerSentEvent

_NUMBER = re.compile(rb":\s*\d+")
_DIGITS = b"0123456789"
_OTHERS = bytes.maketrans(_DIGITS, b"7777777777")
_END = b"\n\n"


class CountedRepeats(Repeats):
    """`said` must not look at the counts."""

    _fixed = b""
    """What follows the text in every event, up to the counts."""
    _counts = b""
    """What follows then, without its digits."""

    def learn(self, event: ServerSentEvent, parsed: Any) -> bool:
        name = b"" if event.event is None else b"event: %b\n" % event.event.encode()
        framed = b"%bdata: %b" % (name, event.data)
        if self._tries == 0 or (self.known and self._text_of(framed) is not None):
            return False
        if len(event.data) > LONGEST:
            return False
        found = list(self._literal.finditer(event.data))
        if len(found) != 1 or not (text := self._said(parsed)) or not is_said(found[0][1], text):
            return False
        self._tries -= 1
        start, end = found[0].span(1)
        before, after = event.data[:start], event.data[end:]
        if not self._says_only_text(before, after):
            return False
        fixed = self._before_counts(before, after)
        self._fixed, self._counts = after[:fixed], after[fixed:].translate(None, _DIGITS)
        self.known = name + b"data: " + before
        return True

    def _before_counts(self, before: bytes, after: bytes) -> int:
        """Up to where digits of `after` mean something."""
        numbers = list(_NUMBER.finditer(after))
        for end in (*[each.start() for each in numbers[:1]], *[each.end() for each in numbers]):
            if self._says_only_text(before, after[:end] + after[end:].translate(_OTHERS)):
                return end
        return len(after)

    def cut(self, chunk: bytes) -> tuple[bytes, list[str], bytes] | None:
        start = self._first(chunk)
        if start < 0:
            return None
        *events, rest = chunk[start:].split(_END)
        strings: list[bytes] = []
        for event in events:
            string = self._text_of(event)
            if string is None:
                break
            strings.append(string)
        if len(strings) < 2:
            return None
        strings.pop()
        texts = texts_of(strings)
        if texts is None:
            return None
        return chunk[:start], texts, _END.join([*events[len(strings) :], rest])

    def _text_of(self, event: bytes) -> bytes | None:
        """The JSON string of an event like the known one."""
        if not event.startswith(self.known):
            return None
        start = len(self.known)
        end = event.find(self._fixed, start)
        if end < 0 or event[end + len(self._fixed) :].translate(None, _DIGITS) != self._counts:
            return None
        return event[start:end]
