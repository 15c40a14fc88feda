"""Reads one streamed answer: bytes in, deltas out, whatever the chunking.

Where the framing, a decoder and the shortcut for events that repeat meet. What a decoder raises
where an answer has another shape than its format becomes an error of ours here.
"""

from typing import Any

from responses_mw.adapters.base import PARSERS, Decoder, Framing
from responses_mw.adapters.decoding import WRONG_SHAPE, wrong_shape
from responses_mw.adapters.repeats import Repeats
from responses_mw.deltas import Delta
from responses_mw.errors import UpstreamProtocolError

MOST_BYTES = 256 * 1024 * 1024
"""Of one stream: decoders hold back what says nothing yet, such as signatures."""
_END = b"\n\n"
_ONE_BY_ONE = 4
"""Events of a chunk that are read by themselves, to learn what the others look like."""


class Reading:
    """By a decoder that may be given further answers. `name` is the provider's."""

    def __init__(self, decoder: Decoder, framing: Framing, *, name: str) -> None:
        self._decoder: Any = decoder
        self._repeats: Repeats | None = None
        if framing == "sse":  # the only one whose events are found in the bytes themselves
            self._repeats = getattr(decoder, "repeats", None)
        if self._repeats is not None:
            self._repeats.begin()
        self._parser: Any = PARSERS[framing]()
        self._ends_with_return = False
        self._name = name
        self._room = MOST_BYTES

    def feed(self, chunk: bytes, said: list[Delta]) -> None:
        """Adds to `said`, which holds what was said before an error, too. Raises UpstreamError."""
        self._room -= len(chunk)
        if self._room < 0:
            raise UpstreamProtocolError(
                f"{self._name} sent a stream of more than {MOST_BYTES} bytes", provider=self._name
            )
        try:
            if self._repeats is not None:
                if b"\r" in chunk or self._ends_with_return:
                    chunk = self._with_newlines(chunk)
                chunk = self._again(self._repeats, chunk, said)
            self._read(chunk, said)
        except WRONG_SHAPE as error:
            raise wrong_shape(error, self._name) from error

    def _with_newlines(self, chunk: bytes) -> bytes:
        """Google ends its lines with both. A return at the end of a chunk waits for what follows;
        one by itself, which ends a line, too, is left to the parser."""
        if self._ends_with_return:
            chunk = b"\r" + chunk
        self._ends_with_return = chunk.endswith(b"\r") and b"\r\n" in chunk
        if self._ends_with_return:
            chunk = chunk[:-1]
        return chunk.replace(b"\r\n", b"\n")

    def _again(self, repeats: Repeats, chunk: bytes, said: list[Delta]) -> bytes:
        """The rest of the chunk, that has to be read event by event."""
        for _ in range(_ONE_BY_ONE):
            if self._parser.idle and not repeats.learning:
                break
            event, end, rest = chunk.partition(_END)
            if not end:
                return chunk
            self._read(event + end, said)
            chunk = rest
        found = repeats.cut(chunk) if self._parser.idle else None
        if found is None:
            return chunk
        before, texts, rest = found
        known = repeats.known
        self._read(before, said)
        if repeats.known != known:  # another event was learned meanwhile
            return chunk[len(before) :]
        said += self._decoder.again(texts)
        return rest

    def _read(self, chunk: bytes, said: list[Delta]) -> None:
        for event in self._parser.feed(chunk):
            said.extend(self._decoder.feed(event))
