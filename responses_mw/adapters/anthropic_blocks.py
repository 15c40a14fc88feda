"""The content blocks of a Messages answer: what their pieces look like, and their own form.

What blocks of other formats do as well stands in `content_blocks.py`; what lies between blocks is
the decoder's.
"""

import orjson

from responses_mw.adapters.content_blocks import (
    Block,
    Json,
    SaidAnswer,
    SaidCall,
    SaidReasoning,
    SaidText,
    url_citation,
)
from responses_mw.adapters.pieces import object_of
from responses_mw.adapters.upstream_json import a_text, text_or_none, total, whole_characters
from responses_mw.deltas import Delta, ReasoningDelta


class OtherBlock(Block):
    """A block of any kind, kept for the native turn; on its own it says nothing to the client."""

    def __init__(self, start: Json) -> None:
        super().__init__()
        self.start = start

    def grow(self, delta: Json) -> list[Delta]:
        if delta["type"] == "input_json_delta":
            self._take(delta["partial_json"])
        else:
            self.faithful = False
        return []

    def verbatim(self) -> Json:
        return {**self.start, "input": object_of(self.said)} if self._pieces else self.start


class TextBlock(SaidText):
    def __init__(self, start: Json, offset: int) -> None:
        super().__init__(offset)
        self._start = start
        self._citations += start.get("citations") or ()

    def opened(self) -> list[Delta]:
        return self._text(self._start.get("text") or "")

    def grow(self, delta: Json) -> list[Delta]:
        match delta["type"]:
            case "text_delta":
                return self._text(delta["text"])
            case "citations_delta":
                self._citations.append(whole_characters(delta["citation"]))
            case _:
                self.faithful = False
        return []

    def annotation(self, citation: Json, start: int, end: int) -> Json | None:
        """Documents that the client sent along have no address; they are in the native turn
        only."""
        url = text_or_none(citation.get("url")) or text_or_none(citation.get("source")) or ""
        if url.startswith(("http://", "https://")):
            return url_citation(url, citation.get("title"), start, end)
        file_id = text_or_none(citation.get("file_id"))
        if file_id is None:
            return None
        filename = text_or_none(citation.get("document_title")) or ""
        index = total(citation.get("document_index"))
        return {"type": "file_citation", "file_id": file_id, "filename": filename, "index": index}

    def verbatim(self) -> Json:
        block = {**self._start, "text": self.said}
        if self._citations:
            block["citations"] = self._citations
        return block


class ThinkingBlock(SaidReasoning):
    def __init__(self, start: Json, scope: str) -> None:
        super().__init__(scope)
        self._start = start
        self._redacted = start["type"] == "redacted_thinking"
        self._signature = str(start.get("signature") or "")

    @property
    def can_return(self) -> bool:
        return self._redacted or bool(self._signature)

    def opened(self) -> list[Delta]:
        return [ReasoningDelta(self._take(self._start.get("thinking") or ""))]

    def grow(self, delta: Json) -> list[Delta]:
        match delta["type"]:
            case "thinking_delta":
                return self._thought(delta["thinking"])
            case "signature_delta":
                self._signature = a_text(delta["signature"])
            case _:
                self.faithful = False
        return []

    def verbatim(self) -> Json:
        if self._redacted:
            return self._start
        return {**self._start, "thinking": self.said, "signature": self._signature}


class CallBlock(SaidCall):
    """The arguments may come with the start, and then not again."""

    def __init__(self, start: Json, key: int) -> None:
        super().__init__(key, start["name"], start.get("id"))
        self._start = start

    @property
    def needs_native(self) -> bool:
        """A call made by code that runs on the server says who made it."""
        caller = self._start.get("caller")
        return caller is not None and caller.get("type") != "direct"

    def grow(self, delta: Json) -> list[Delta]:
        if delta["type"] != "input_json_delta":
            self.faithful = False
            return []
        return self._arguments(delta["partial_json"])

    def _said_at_once(self) -> str:
        given = self._start.get("input")
        return orjson.dumps(given).decode() if given else ""

    def verbatim(self) -> Json:
        return {**self._start, "input": object_of(self.said)}


class AnswerBlock(SaidAnswer, CallBlock):
    def verbatim(self) -> Json:
        return {"type": "text", "text": self.said}
