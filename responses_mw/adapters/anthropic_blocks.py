"""One content block of a Messages answer while it is being said.

Each kind of block knows which deltas it opens, grows by and closes with, and what it is in the
API's own form (`verbatim`); what lies between blocks is the decoder's.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from responses_mw.adapters.pieces import object_of
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    NativeTurn,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)

Json = dict[str, Any]

_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_CALL_ID = 64


class Block:
    """A block of any kind, kept for the native turn; on its own it says nothing to the client.

    `faithful` turns False when the block cannot be given back as it came.
    """

    is_text = False

    def __init__(self, start: Json) -> None:
        self.start = start
        self.done = False
        self.faithful = True
        self.length = 0
        self._pieces: list[str] = []
        self._half = ""

    def opened(self) -> list[Delta]:
        return []

    def grow(self, delta: Json) -> list[Delta]:
        if delta["type"] == "input_json_delta":
            self._take(delta["partial_json"])
        else:
            self.faithful = False
        return []

    def closed(self) -> list[Delta]:
        return []

    def verbatim(self) -> Json:
        return {**self.start, "input": object_of(self._said())} if self._pieces else self.start

    @property
    def needs_native(self) -> bool:
        """Whether items do not say all of it."""
        return True

    @property
    def whole(self) -> bool:
        """Whether it was said to its end; nothing else can be given back."""
        return self.done

    def _said(self) -> str:
        return "".join(self._pieces)

    def _take(self, text: str) -> str:
        if self._half or not text.isascii():
            text = self._joined(text)
        if text:
            self._pieces.append(text)
            self.length += len(text)
        return text

    def _joined(self, text: str) -> str:
        """A pair of surrogates may be split over two deltas; a lone one becomes U+FFFD."""
        text, self._half = self._half + text, ""
        if _SURROGATE.search(text) is None:
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _take_rest(self) -> str:
        """What is left of a pair whose other half never came."""
        half, self._half = self._half, ""
        return self._take("\ufffd") if half else ""


class TextBlock(Block):
    """`offset`: how long the open text part is already. Consecutive text blocks share one part."""

    is_text = True

    def __init__(self, start: Json, offset: int) -> None:
        super().__init__(start)
        self._offset = offset
        self._citations: list[Json] = list(start.get("citations") or ())

    @property
    def needs_native(self) -> bool:
        return bool(self._citations)

    @property
    def whole(self) -> bool:
        return bool(self._pieces)

    def opened(self) -> list[Delta]:
        return self._text(self.start.get("text") or "")

    def grow(self, delta: Json) -> list[Delta]:
        match delta["type"]:
            case "text_delta":
                return self._text(delta["text"])
            case "citations_delta":
                self._citations.append(delta["citation"])
            case _:
                self.faithful = False
        return []

    def closed(self) -> list[Delta]:
        rest: list[Delta] = [TextDelta(text)] if (text := self._take_rest()) else []
        if not self.length:
            return rest
        # A citation arrives before the text it belongs to, which is the whole block.
        start, end = self._offset, self._offset + self.length
        found = [_url_citation(citation, start, end) for citation in self._citations]
        return [*rest, *(AnnotationAdded(citation) for citation in found if citation is not None)]

    def verbatim(self) -> Json:
        block = {**self.start, "text": self._said()}
        if self._citations:
            block["citations"] = self._citations
        return block

    def _text(self, text: str) -> list[Delta]:
        text = self._take(text)
        return [TextDelta(text)] if text else []


class ThinkingBlock(Block):
    """Also redacted thinking, which has no text. Without a signature it cannot be given back."""

    def __init__(self, start: Json, scope: str) -> None:
        super().__init__(start)
        self._scope = scope
        self._signature = str(start.get("signature") or "")

    @property
    def whole(self) -> bool:
        return self.done and (self.start["type"] == "redacted_thinking" or bool(self._signature))

    def opened(self) -> list[Delta]:
        return [ReasoningDelta(self._take(self.start.get("thinking") or ""))]

    def grow(self, delta: Json) -> list[Delta]:
        match delta["type"]:
            case "thinking_delta":
                text = self._take(delta["thinking"])
                return [ReasoningDelta(text)] if text else []
            case "signature_delta":
                self._signature = delta["signature"]
            case _:
                self.faithful = False
        return []

    def closed(self) -> list[Delta]:
        rest: list[Delta] = [ReasoningDelta(text)] if (text := self._take_rest()) else []
        native = None
        if self.faithful and (self._signature or self.start["type"] == "redacted_thinking"):
            native = NativeTurn(self._scope, [self.verbatim()])
        return [*rest, ItemFinished(native=native)]

    def verbatim(self) -> Json:
        if self.start["type"] == "redacted_thinking":
            return self.start
        return {**self.start, "thinking": self._said(), "signature": self._signature}


class CallBlock(Block):
    """A function to be called. The arguments may come with the start, and then not again."""

    def __init__(self, start: Json, key: int) -> None:
        super().__init__(start)
        self._key = key
        call_id = start.get("id")
        # The assembler mints another id for such a call; its result would not find it.
        self.faithful = bool(call_id) and len(str(call_id)) <= _MAX_CALL_ID

    @property
    def needs_native(self) -> bool:
        """A call made by code that runs on the server says who made it."""
        caller = self.start.get("caller")
        return caller is not None and caller.get("type") != "direct"

    def opened(self) -> list[Delta]:
        return [ToolCallStarted(self._key, self.start["name"], self.start.get("id"))]

    def grow(self, delta: Json) -> list[Delta]:
        if delta["type"] != "input_json_delta":
            self.faithful = False
            return []
        text = self._take(delta["partial_json"])
        return [self._argument(text)] if text else []

    def closed(self) -> list[Delta]:
        rest = self._take_rest()
        if not self._pieces and self.start.get("input"):
            rest = self._take(orjson.dumps(self.start["input"]).decode())
        return [self._argument(rest), *self._finished()] if rest else self._finished()

    def verbatim(self) -> Json:
        return {**self.start, "input": object_of(self._said())}

    def _argument(self, text: str) -> Delta:
        return ToolCallDelta(self._key, text)

    def _finished(self) -> list[Delta]:
        return [ItemFinished(self._key)]


class AnswerBlock(CallBlock):
    """A call of the tool that stands for the answer format: its arguments are the answer's text."""

    is_text = True

    def __init__(self, start: Json, key: int) -> None:
        super().__init__(start, key)
        self.faithful = True

    @property
    def needs_native(self) -> bool:
        return False

    @property
    def whole(self) -> bool:
        return bool(self._pieces)

    def opened(self) -> list[Delta]:
        return []

    def verbatim(self) -> Json:
        return {"type": "text", "text": self._said()}

    def _argument(self, text: str) -> Delta:
        return TextDelta(text)

    def _finished(self) -> list[Delta]:
        return []


def _url_citation(citation: Mapping[str, Any], start: int, end: int) -> Json | None:
    """Citations of the client's own documents have no URL; they are in the native turn only."""
    url = citation.get("url") or citation.get("source")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return None
    return {
        "type": "url_citation",
        "start_index": start,
        "end_index": end,
        "url": url,
        "title": citation.get("title") or "",
    }
