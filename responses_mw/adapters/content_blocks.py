"""One content block of an answer while it is being said, for formats whose answers are such blocks.

What blocks of text, reasoning and calls do alike stands here; what the pieces of one look like, and
what it is in the API's own form (`verbatim`), in the format's own file.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from responses_mw.adapters.upstream_json import (
    a_name,
    text_or_none,
    whole_characters,
    without_half,
)
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    NativeTurn,
    ReasoningDelta,
    TextDelta,
    TextRun,
    ToolCallDelta,
    ToolCallStarted,
)

Json = dict[str, Any]

_MAX_CALL_ID = 64


class Block(ABC):
    """`faithful` turns False when the block cannot be given back as it came."""

    is_text = False

    def __init__(self) -> None:
        self.done = False
        self.faithful = True
        self.length = 0
        self._pieces: list[str] = []
        self._half = ""

    def opened(self) -> list[Delta]:
        return []

    @abstractmethod
    def grow(self, delta: Json) -> list[Delta]: ...

    def closed(self) -> list[Delta]:
        return []

    @abstractmethod
    def verbatim(self) -> Json: ...

    @property
    def needs_native(self) -> bool:
        """Whether items do not say all of it."""
        return True

    @property
    def whole(self) -> bool:
        """Whether it was said to its end; nothing else can be given back."""
        return self.done

    @property
    def said(self) -> str:
        return "".join(self._pieces)

    def _take(self, text: str) -> str:
        """A pair of surrogates may be split over two pieces: its first half waits."""
        if self._half or not text.isascii():
            text, self._half = without_half(self._half + text)
        if text:
            self._pieces.append(text)
            self.length += len(text)
        return text

    def _take_rest(self) -> str:
        """What is left of a pair whose other half never came."""
        half, self._half = self._half, ""
        return self._take(whole_characters(half)) if half else ""


class SaidText(Block):
    """`offset`: how long the open text part is already. Consecutive blocks of text share one."""

    is_text = True

    def __init__(self, offset: int) -> None:
        super().__init__()
        self._offset = offset
        self._citations: list[Json] = []

    @abstractmethod
    def annotation(self, citation: Json, start: int, end: int) -> Json | None:
        """None: what is cited has no address that an annotation could name."""

    @property
    def needs_native(self) -> bool:
        return bool(self._citations)

    @property
    def whole(self) -> bool:
        return bool(self._pieces)

    def closed(self) -> list[Delta]:
        rest: list[Delta] = [TextDelta(text)] if (text := self._take_rest()) else []
        if not self.length:
            return rest
        # A citation arrives before the text it belongs to, which is the whole block.
        start, end = self._offset, self._offset + self.length
        found = (self.annotation(citation, start, end) for citation in self._citations)
        return [*rest, *(AnnotationAdded(annotation) for annotation in found if annotation)]

    def run(self, texts: Sequence[str]) -> list[Delta]:
        """Whole characters, and many of them: as if each had come by itself."""
        if self._half:
            return [delta for text in texts for delta in self._text(text)]
        said = list(filter(None, texts))
        self._pieces += said
        self.length += sum(map(len, said))
        return [TextRun(said)] if said else []

    def _text(self, text: str) -> list[Delta]:
        text = self._take(text)
        return [TextDelta(text)] if text else []


def url_citation(url: str, title: Any, start: int, end: int) -> Json:
    return {
        "type": "url_citation",
        "start_index": start,
        "end_index": end,
        "url": url,
        "title": text_or_none(title) or "",
    }


class SaidReasoning(Block):
    """Also redacted reasoning, which has no text."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self._scope = scope

    @property
    @abstractmethod
    def can_return(self) -> bool:
        """Whether the API takes it back: it is signed, mostly."""

    @property
    def needs_native(self) -> bool:
        return self.can_return

    @property
    def whole(self) -> bool:
        return self.done and self.can_return

    def opened(self) -> list[Delta]:
        return [ReasoningDelta("")]

    def closed(self) -> list[Delta]:
        rest: list[Delta] = [ReasoningDelta(text)] if (text := self._take_rest()) else []
        native = None
        if self.faithful and self.can_return:
            native = NativeTurn(self._scope, [self.verbatim()])
        return [*rest, ItemFinished(native=native)]

    def _thought(self, text: str) -> list[Delta]:
        text = self._take(text)
        return [ReasoningDelta(text)] if text else []


class SaidCall(Block):
    """A function to be called."""

    def __init__(self, key: int, name: Any, call_id: Any) -> None:
        super().__init__()
        self._key = key
        self._name = a_name(name)
        self._call_id = text_or_none(call_id)
        self.faithful = self._keeps_id()

    def _keeps_id(self) -> bool:
        """Else the assembler mints another, and in the API's own form no result would find it."""
        return self._call_id is not None and len(self._call_id) <= _MAX_CALL_ID

    def opened(self) -> list[Delta]:
        return [ToolCallStarted(self._key, self._name, self._call_id)]

    def closed(self) -> list[Delta]:
        unsaid = not self._pieces and not self._half
        rest = self._take(self._said_at_once()) if unsaid else self._take_rest()
        return [*([self._argument(rest)] if rest else ()), *self._finished()]

    def _said_at_once(self) -> str:
        """The arguments of a call that no piece added any to."""
        return ""

    def _arguments(self, text: str) -> list[Delta]:
        text = self._take(text)
        return [self._argument(text)] if text else []

    def _argument(self, text: str) -> Delta:
        return ToolCallDelta(self._key, text)

    def _finished(self) -> list[Delta]:
        return [ItemFinished(self._key)]


class SaidAnswer(SaidCall):
    """A call of the tool that stands for the answer format: its arguments are the answer's text.

    A format's own call, read so, is a class of the two.
    """

    is_text = True

    def _keeps_id(self) -> bool:
        return True  # there will be no result

    @property
    def needs_native(self) -> bool:
        return False

    @property
    def whole(self) -> bool:
        return bool(self._pieces)

    def opened(self) -> list[Delta]:
        return []

    def _argument(self, text: str) -> Delta:
        return TextDelta(text)

    def _finished(self) -> list[Delta]:
        return []


def verbatim(blocks: Sequence[Block], *, cut_off: bool) -> list[Json] | None:
    """The answer as the API wants it back, unless items say all of it."""
    last = blocks[-1] if blocks else None
    if cut_off and isinstance(last, SaidCall) and not last.is_text:
        blocks = blocks[:-1]  # in the middle of its arguments: nobody will answer it
    if not all(block.faithful for block in blocks):
        return None
    blocks = [block for block in blocks if block.whole]
    if not any(block.needs_native for block in blocks):
        return None
    return [block.verbatim() for block in blocks]
