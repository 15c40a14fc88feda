"""One content block of a Converse answer while it is being said.

Each kind of block knows which deltas it grows by and closes with, and what it is in the API's own
form (`verbatim`); what lies between blocks is the decoder's.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from responses_mw.adapters.pieces import object_of
from responses_mw.adapters.upstream_json import whole_characters, without_half
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    NativeTurn,
    OutputItem,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)

Json = dict[str, Any]


_MAX_CALL_ID = 64


class Block:
    """`kinds` are the keys of the deltas that it takes (none: of any). `faithful` turns False when
    the block cannot be given back as it came."""

    kinds: tuple[str, ...] = ()
    is_text = False

    def __init__(self) -> None:
        self.done = False
        self.faithful = True
        self.length = 0
        self._pieces: list[str] = []
        self._half = ""

    def opened(self) -> list[Delta]:
        return []

    def grow(self, delta: Json) -> list[Delta]:
        raise NotImplementedError

    def closed(self) -> list[Delta]:
        return []

    def verbatim(self) -> Json:
        raise NotImplementedError

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
        if self._half or not text.isascii():
            text, self._half = without_half(self._half + text)
        if text:
            self._pieces.append(text)
            self.length += len(text)
        return text

    def _take_rest(self) -> str:
        """What is left of a pair of surrogates whose other half never came."""
        half, self._half = self._half, ""
        return self._take(whole_characters(half)) if half else ""


class TextBlock(Block):
    """`offset`: how long the open text part is already. Consecutive text blocks share one part."""

    kinds = ("text", "citation")
    is_text = True

    def __init__(self, offset: int) -> None:
        super().__init__()
        self._offset = offset
        self._citations: list[Json] = []

    @property
    def needs_native(self) -> bool:
        return bool(self._citations)

    @property
    def whole(self) -> bool:
        return bool(self._pieces)

    def grow(self, delta: Json) -> list[Delta]:
        if "citation" in delta:
            self._citations.append(delta["citation"])
            return []
        text = self._take(delta["text"])
        return [TextDelta(text)] if text else []

    def closed(self) -> list[Delta]:
        rest: list[Delta] = [TextDelta(text)] if (text := self._take_rest()) else []
        # A citation arrives before the text it belongs to, which is the whole block.
        start, end = self._offset, self._offset + self.length
        found = [_url_citation(citation, start, end) for citation in self._citations]
        return [*rest, *(AnnotationAdded(citation) for citation in found if citation is not None)]

    def verbatim(self) -> Json:
        if not self._citations:
            return {"text": self.said}
        return {
            "citationsContent": {"content": [{"text": self.said}], "citations": self._citations}
        }


class ReasoningBlock(Block):
    """Also redacted reasoning, which has no text. `unsigned`: wanted back without a signature."""

    kinds = ("reasoningContent",)

    def __init__(self, scope: str, *, unsigned: bool) -> None:
        super().__init__()
        self._scope = scope
        self._unsigned = unsigned
        self._signature = ""
        self._redacted: list[str] = []

    @property
    def needs_native(self) -> bool:
        return self._can_return

    @property
    def whole(self) -> bool:
        return self.done and self._can_return

    @property
    def _can_return(self) -> bool:
        return bool(self._signature or self._redacted or (self._unsigned and self._pieces))

    def opened(self) -> list[Delta]:
        return [ReasoningDelta("")]

    def grow(self, delta: Json) -> list[Delta]:
        part = delta["reasoningContent"]
        self._signature += part.get("signature") or ""
        if part.get("redactedContent"):
            self._redacted.append(part["redactedContent"])
        text = self._take(part.get("text") or "")
        return [ReasoningDelta(text)] if text else []

    def closed(self) -> list[Delta]:
        rest: list[Delta] = [ReasoningDelta(text)] if (text := self._take_rest()) else []
        native = NativeTurn(self._scope, [self.verbatim()]) if self._can_return else None
        return [*rest, ItemFinished(native=native)]

    def verbatim(self) -> Json:
        if self._redacted:
            return {"reasoningContent": {"redactedContent": _joined_base64(self._redacted)}}
        signed = {"signature": self._signature} if self._signature else {}
        return {"reasoningContent": {"reasoningText": {"text": self.said, **signed}}}


class CallBlock(Block):
    """A function to be called."""

    kinds = ("toolUse",)

    def __init__(self, start: Json, key: int) -> None:
        super().__init__()
        self._start = start
        self._key = key
        call_id = start.get("toolUseId")
        # The assembler mints another id for such a call; its result would not find it.
        self.faithful = bool(call_id) and len(str(call_id)) <= _MAX_CALL_ID

    @property
    def needs_native(self) -> bool:
        return False

    def opened(self) -> list[Delta]:
        return [ToolCallStarted(self._key, self._start["name"], self._start.get("toolUseId"))]

    def grow(self, delta: Json) -> list[Delta]:
        text = self._take(delta["toolUse"]["input"])
        return [self._argument(text)] if text else []

    def closed(self) -> list[Delta]:
        rest = self._take_rest() if self._pieces or self._half else self._take("{}")
        return [self._argument(rest), *self._finished()] if rest else self._finished()

    def verbatim(self) -> Json:
        use = {key: self._start[key] for key in ("toolUseId", "name")}
        return {"toolUse": {**use, "input": object_of(self.said)}}

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
    def whole(self) -> bool:
        return bool(self._pieces)

    def opened(self) -> list[Delta]:
        return []

    def verbatim(self) -> Json:
        return {"text": self.said}

    def _argument(self, text: str) -> Delta:
        return TextDelta(text)

    def _finished(self) -> list[Delta]:
        return []


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


def _url_citation(citation: Mapping[str, Any], start: int, end: int) -> Json | None:
    """Citations of the client's own documents have no URL; they are in the native turn only."""
    url = ((citation.get("location") or {}).get("web") or {}).get("url")
    if not isinstance(url, str):
        return None
    return {
        "type": "url_citation",
        "start_index": start,
        "end_index": end,
        "url": url,
        "title": citation.get("title") or "",
    }


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
