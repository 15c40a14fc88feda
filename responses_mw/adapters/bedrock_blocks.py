"""The content blocks of a Converse answer: what their pieces look like, and their own form.

What blocks of other formats do as well stands in `content_blocks.py`; what lies between blocks is
the decoder's.
"""

import base64
from collections.abc import Sequence

from responses_mw.adapters import content_blocks
from responses_mw.adapters.content_blocks import (
    Json,
    SaidAnswer,
    SaidCall,
    SaidReasoning,
    SaidText,
    url_citation,
)
from responses_mw.adapters.pieces import object_of
from responses_mw.adapters.upstream_json import a_text, text_or_none, whole_characters
from responses_mw.deltas import Delta, OutputItem


class Block(content_blocks.Block):
    """`kinds` are the keys of the deltas that it takes (none: of any)."""

    kinds: tuple[str, ...] = ()


class TextBlock(SaidText, Block):
    kinds = ("text", "citation")

    def grow(self, delta: Json) -> list[Delta]:
        if "citation" in delta:
            self._citations.append(delta["citation"])
            return []
        return self._text(delta["text"])

    def annotation(self, citation: Json, start: int, end: int) -> Json | None:
        """Documents that the client sent along have no address; they are in the native turn
        only."""
        location = citation.get("location") or {}
        url = text_or_none((location.get("web") or {}).get("url"))
        return None if url is None else url_citation(url, citation.get("title"), start, end)

    def verbatim(self) -> Json:
        if not self._citations:
            return {"text": self.said}
        return {
            "citationsContent": {"content": [{"text": self.said}], "citations": self._citations}
        }


class ReasoningBlock(SaidReasoning, Block):
    """`unsigned`: wanted back without a signature."""

    kinds = ("reasoningContent",)

    def __init__(self, scope: str, *, unsigned: bool) -> None:
        super().__init__(scope)
        self._unsigned = unsigned
        self._signature = ""
        self._redacted: list[str] = []

    @property
    def can_return(self) -> bool:
        return bool(self._signature or self._redacted or (self._unsigned and self._pieces))

    def grow(self, delta: Json) -> list[Delta]:
        part = delta["reasoningContent"]
        self._signature += a_text(part.get("signature") or "")
        if part.get("redactedContent"):
            self._redacted.append(a_text(part["redactedContent"]))
        return self._thought(part.get("text") or "")

    def verbatim(self) -> Json:
        if self._redacted:
            return {"reasoningContent": {"redactedContent": _joined_base64(self._redacted)}}
        signed = {"signature": self._signature} if self._signature else {}
        return {"reasoningContent": {"reasoningText": {"text": self.said, **signed}}}


class CallBlock(SaidCall, Block):
    kinds = ("toolUse",)

    def __init__(self, start: Json, key: int) -> None:
        super().__init__(key, start["name"], start.get("toolUseId"))
        self._start = start

    @property
    def needs_native(self) -> bool:
        return False

    def grow(self, delta: Json) -> list[Delta]:
        return self._arguments(delta["toolUse"]["input"])

    def _said_at_once(self) -> str:
        return "{}"

    def verbatim(self) -> Json:
        use = {key: self._start[key] for key in ("toolUseId", "name")}
        return {"toolUse": {**use, "input": object_of(self.said)}}


class AnswerBlock(SaidAnswer, CallBlock):
    def verbatim(self) -> Json:
        return {"text": self.said}


class HostedCallBlock(Block):
    """A tool that AWS runs by itself; it is shown when its result is there."""

    kinds = ("toolUse",)

    def __init__(self, start: Json) -> None:
        super().__init__()
        self.start = start

    def grow(self, delta: Json) -> list[Delta]:
        self._take(delta["toolUse"]["input"])
        return []

    def verbatim(self) -> Json:
        return {"toolUse": {**self.start, "input": object_of(self.said)}}


class HostedResultBlock(Block):
    """`call` is the block it answers, None if that never came."""

    kinds = ("toolResult",)

    def __init__(self, start: Json, call: HostedCallBlock | None) -> None:
        super().__init__()
        self._start = start
        self._call = call
        self._content: list[Json] = []

    def grow(self, delta: Json) -> list[Delta]:
        self._content.extend(delta["toolResult"])
        return []

    def closed(self) -> list[Delta]:
        if self._call is None:
            return []
        failed = self._start.get("status") == "error"
        item = _hosted_item(self._call.verbatim()["toolUse"], self._content, failed=failed)
        return [] if item is None else [OutputItem(whole_characters(item))]

    def verbatim(self) -> Json:
        return {"toolResult": {**self._start, "content": self._content}}


class ImageBlock(Block):
    """A picture that the model made."""

    kinds = ("image",)

    def __init__(self, start: Json) -> None:
        super().__init__()
        self._start = start
        self._bytes: list[str] = []

    @property
    def whole(self) -> bool:
        return self.done and bool(self._bytes)

    def grow(self, delta: Json) -> list[Delta]:
        source = delta["image"].get("source") or {}
        if source.get("bytes"):
            self._bytes.append(source["bytes"])
        return []

    def closed(self) -> list[Delta]:
        made = _joined_base64(self._bytes) if self._bytes else None
        status = "completed" if made else "failed"
        return [OutputItem({"type": "image_generation_call", "status": status, "result": made})]

    def verbatim(self) -> Json:
        return {"image": {**self._start, "source": {"bytes": _joined_base64(self._bytes)}}}


class OtherBlock(Block):
    """A kind that is not known: kept as it came, if it came whole."""

    def __init__(self, start: Json) -> None:
        super().__init__()
        self._start = start

    def grow(self, delta: Json) -> list[Delta]:
        self.faithful = False
        return []

    def verbatim(self) -> Json:
        return self._start


def _joined_base64(pieces: Sequence[str]) -> str:
    if len(pieces) == 1:
        return pieces[0]
    return base64.b64encode(b"".join(map(base64.b64decode, pieces))).decode()


def _hosted_item(call: Json, content: Sequence[Json], *, failed: bool) -> Json | None:
    status = "failed" if failed else "completed"
    match call["name"]:
        case "nova_grounding":
            action = {"type": "search", "query": call["input"].get("query") or ""}
            return {"type": "web_search_call", "status": status, "action": action}
        case "nova_code_interpreter":
            return {
                "type": "code_interpreter_call",
                "status": status,
                # AWS names no container; every call has one of its own.
                "container_id": call["toolUseId"],
                "code": call["input"].get("snippet"),
                "outputs": [{"type": "logs", "logs": _logs(content)}],
            }
    return None


def _logs(content: Sequence[Json]) -> str:
    said = [part["json"] for part in content if isinstance(part.get("json"), dict)]
    return "".join(f"{entry.get('stdOut') or ''}{entry.get('stdErr') or ''}" for entry in said)
