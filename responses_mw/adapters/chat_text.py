"""Text that arrives in pieces which mean something only together: tags and surrogate pairs.

Nothing here knows chunks or deltas.
"""

from collections.abc import Hashable, Iterator

OPENING = "<think>"
CLOSING = "</think>"


class ThinkTags:
    """Parts reasoning from the text around it, where a text begins with <think>.

    `feed` and `flush` yield (is reasoning, text). Line ends beside the tags are left out.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = self._begin

    def feed(self, text: str) -> Iterator[tuple[bool, str]]:
        self._held += text
        return self._state()

    def flush(self) -> Iterator[tuple[bool, str]]:
        """What was held back, because it might have become a tag."""
        held, self._held = self._held, ""
        if held:
            yield self._state == self._think, held

    def _begin(self) -> Iterator[tuple[bool, str]]:
        start = self._held.lstrip()
        if start.startswith(OPENING):
            self._held = start[len(OPENING) :].lstrip("\n")
            self._state = self._think if self._held else self._begin_thought
            yield from self._state()
        elif not OPENING.startswith(start):
            self._state = self._say
            yield from self._say()

    def _begin_thought(self) -> Iterator[tuple[bool, str]]:
        self._held = self._held.lstrip("\n")
        if self._held:
            self._state = self._think
            yield from self._think()

    def _think(self) -> Iterator[tuple[bool, str]]:
        thought, closing, rest = self._held.partition(CLOSING)
        if not closing:
            keep = _start_of_tag(thought)
            thought, self._held = thought[: len(thought) - keep], thought[len(thought) - keep :]
        if thought:
            yield True, thought
        if closing:
            self._held = rest
            self._state = self._resume
            yield from self._resume()

    def _resume(self) -> Iterator[tuple[bool, str]]:
        self._held = self._held.lstrip("\n")
        if self._held:
            self._state = self._say
            yield from self._say()

    def _say(self) -> Iterator[tuple[bool, str]]:
        text, self._held = self._held, ""
        if text:
            yield False, text


def _start_of_tag(text: str) -> int:
    """How many characters at the end of `text` may be the beginning of the closing tag."""
    for length in range(min(len(CLOSING) - 1, len(text)), 0, -1):
        if CLOSING.startswith(text[-length:]):
            return length
    return 0


class SurrogatePairs:
    """Joins a pair that was split over two pieces of one stream; a lone half becomes U+FFFD."""

    def __init__(self) -> None:
        self._halves: dict[Hashable, str] = {}

    def join(self, stream: Hashable, text: str) -> str:
        text = self._halves.pop(stream, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves[stream] = text[-1]
            text = text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def left_over(self) -> list[Hashable]:
        """The streams that ended in half a pair."""
        streams = list(self._halves)
        self._halves = {}
        return streams
