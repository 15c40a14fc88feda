"""Reads by likeness (see `repeats`) where every event has something new around its text: a number,
padding. The events have one shape, and what matters of them is compared value by value.

A shape knows no stream, so that its pattern is compiled once for all of them.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import islice
from typing import Any

from responses_mw.adapters.repeats import LONGEST, STRING, Repeats, Said, is_said, texts_of
from responses_mw.sse import ServerSentEvent

_TOKEN = re.compile(STRING + rb"|(?<=[:,\[ ])\d+(?=[,}\] ])")
_NAMES = re.compile(rb"\s*:")
"""What follows a string that is a name."""
_NUMBER = rb"((?:0|[1-9]\d*)(?![\d.eE]))"
_SHAPES = 64
_END = b"\n\n"


class ShapedRepeats(Repeats):
    """`free` are the names of values that say nothing."""

    def __init__(self, field: bytes, said: Said, *, free: Collection[bytes]) -> None:
        super().__init__(field, said)
        self._field = b'"%b"' % field
        self._free = {b'"%b"' % name for name in free}
        self._pattern: re.Pattern[bytes] | None = None
        self._missed = False
        self._text = 0
        self._values: dict[int, bytes] = {}
        """By the number of their group, those that must be the same."""

    def learn(self, event: ServerSentEvent, parsed: Any) -> bool:
        if self._tries == 0 or (self.known and not self._missed):
            return False
        self._missed = False
        text = self._said(parsed)
        if not text or len(event.data) > LONGEST:
            return False
        name = b"" if event.event is None else b"event: %b\n" % event.event.encode()
        pattern, names = _shape(event.data)
        found = _compiled(pattern).fullmatch(event.data)
        if names.count(self._field) != 1 or found is None:
            return False
        group = names.index(self._field) + 1
        start, end = found.span(group)
        if not is_said(found[group], text):
            return False
        if not self._says_only_text(event.data[:start], event.data[end:]):
            return False
        fixed = (n for n, each in enumerate(names, 1) if each not in self._free and n != group)
        self._text, self._values = group, {n: found[n] for n in fixed}
        framed = re.escape(name + b"data: ") + pattern + _END
        if self._pattern is None or framed != self._pattern.pattern:
            self._tries -= 1
            self._pattern = _compiled(framed)
        self.known = b"|".join((framed, *self._values.values()))
        return True

    def cut(self, chunk: bytes) -> tuple[bytes, list[str], bytes] | None:
        found = None if self._pattern is None else self._found(self._pattern, chunk)
        self._missed = found is None
        return found

    def _found(
        self, pattern: re.Pattern[bytes], chunk: bytes
    ) -> tuple[bytes, list[str], bytes] | None:
        before, *parts = pattern.split(chunk)
        if not parts or (before and not before.endswith(_END)):
            return None
        step = pattern.groups + 1
        if any(islice(parts, step - 1, len(parts) - 1, step)):  # something stands between them
            return None
        if any(set(parts[n - 1 :: step]) != {value} for n, value in self._values.items()):
            return None
        texts = texts_of(parts[self._text - 1 :: step])
        return None if texts is None else (before, texts, parts[-1])


def _shape(data: bytes) -> tuple[bytes, list[bytes]]:
    """A pattern of events with the same names in the same order, and the name of each value, which
    are its groups."""
    pattern: list[bytes] = []
    names: list[bytes] = []
    name, last = b"", 0
    for token in _TOKEN.finditer(data):
        start, end = token.span()
        if _NAMES.match(data, end):
            name = token[0]
            continue
        pattern += (re.escape(data[last:start]), _hole(token[0]))
        names.append(name)
        last = end
    pattern.append(re.escape(data[last:]))
    return b"".join(pattern), names


def _hole(token: bytes) -> bytes:
    return b"(" + STRING + b")" if token.startswith(b'"') else _NUMBER


@lru_cache(maxsize=_SHAPES)
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)
