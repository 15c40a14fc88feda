"""Builds the messages of a request from the conversation: items and native turns in, blocks out.

Everything about the order and shape of messages stands here; everything else that a request says is
in `anthropic_encode.py`. Nothing that comes in is modified.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from responses_mw.adapters.media import read_data_url, read_file_data
from responses_mw.adapters.pieces import AlternatingPieces, Block, LeaveOut, as_system, merged
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Item, Span, Turn

Message = dict[str, Any]

FILES_BETA = "files-api-2025-04-14"

_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_THINKING = ("thinking", "redacted_thinking")


class Conversation(AlternatingPieces):
    """`system` and `messages` in the API's order: roles alternate, results follow their calls."""

    API = "the Messages API"

    def __init__(self, leave_out: LeaveOut) -> None:
        super().__init__(leave_out)
        self.system: list[Block] = []
        self.betas: set[str] = set()

    def finish(self) -> None:
        """Takes off what a message must not end with, and messages that say nothing."""
        for message in self.messages:
            if message["role"] == "assistant":
                _strip_trailing_thinking(message["content"])
        self.messages = merged([m for m in self.messages if m["content"]])
        if not self.messages and self.system:
            self._append("user", [_text(as_system(self.system.pop()["text"]))])
        if self.messages and self.messages[-1]["role"] == "assistant" and not self._ends_native:
            _strip_trailing_space(self.messages[-1]["content"])

    def leave_thinking_out(self) -> None:
        self.messages = without_thinking(self.messages)

    @property
    def loop_lacks_thinking(self) -> bool:
        return loop_lacks_thinking(self.messages)

    # --- pieces

    def _add_native(self, span: Span) -> None:
        assert span.native is not None
        # The API returns empty text blocks, and refuses them.
        blocks = [b for b in span.native.state if b["type"] != "text" or b["text"]]
        content = self._message("assistant")["content"]
        content.extend(blocks)
        for block in blocks:
            if block["type"] == "tool_use":
                self._calls[block["id"]] = (len(self.messages) - 1, block["id"])
                self._ids.add(block["id"])

    def _add_message(self, item: Item) -> None:
        role = item["role"]
        if role in ("system", "developer"):
            self._add_system(item)
            return
        blocks = [self._block(part, role) for part in item["content"]]
        self._append(role, [block for block in blocks if block is not None])

    def _add_system(self, item: Item) -> None:
        blocks = [self._block(part, "system") for part in item["content"]]
        texts = [block for block in blocks if block is not None]
        if not self.messages:
            self.system.extend(texts)
        else:
            self._append("user", [_text(as_system(block["text"])) for block in texts])

    def _add_call(self, item: Item, arguments: Mapping[str, Any]) -> None:
        call_id = item["call_id"]
        id = self._free_id(call_id)
        block = {"type": "tool_use", "id": id, "name": item["name"], "input": arguments}
        self._append("assistant", [block])
        self._calls[call_id] = (len(self.messages) - 1, id)

    def _add_result(self, item: Item) -> None:
        """Results stand at the head of the one user message right behind their calls."""
        place, id = self._calls.get(item["call_id"], (len(self.messages) - 1, item["call_id"]))
        block = {"type": "tool_result", "tool_use_id": id, "content": self._output(item["output"])}
        if place + 1 >= len(self.messages):
            self._append("user", [block])
            return
        content = self.messages[place + 1]["content"]
        results = sum(entry["type"] == "tool_result" for entry in content)
        content.insert(results, block)

    def _output(self, output: str | Sequence[Mapping[str, Any]]) -> str | list[Block]:
        if isinstance(output, str):
            return output
        blocks = [self._block(part, "user") for part in output]
        return [block for block in blocks if block is not None]

    # --- parts

    def _block(self, part: Mapping[str, Any], role: str) -> Block | None:
        match part["type"]:
            case "input_text" | "output_text" | "text":
                return _text(part["text"]) if part["text"].strip() else None
            case "refusal":
                return _text(part["refusal"]) if part["refusal"].strip() else None
            case "input_image" if role == "user":
                return self._image(part)
            case "input_file" if role == "user":
                return self._document(part)
            case other:
                raise UnsupportedByProvider(
                    f"the Messages API cannot take a {other!r} part in a {role} message",
                    param="input",
                )

    def _image(self, part: Mapping[str, Any]) -> Block:
        if part.get("detail") not in (None, "auto"):
            self._leave_out("input_image.detail", "the Messages API chooses the detail of an image")
        url = part.get("image_url")
        if url is None:
            return {"type": "image", "source": self._file_source(part)}
        if url[:5].lower() != "data:":
            return {"type": "image", "source": {"type": "url", "url": url}}
        return _inline_image(*read_data_url(url))

    def _document(self, part: Mapping[str, Any]) -> Block:
        if part.get("file_data") is not None:
            media_type, data = read_file_data(part["file_data"], part.get("filename"))
            if media_type.startswith("image/"):
                return _inline_image(media_type, data)
            source = _document_source(media_type, data)
        elif part.get("file_url") is not None:
            source = {"type": "url", "url": part["file_url"]}
        else:
            source = self._file_source(part)
        title = {"title": part["filename"]} if part.get("filename") else {}
        return {"type": "document", "source": source, **title}

    def _file_source(self, part: Mapping[str, Any]) -> Block:
        file_id = part.get("file_id")
        # Anthropic's ids begin with `file_`, OpenAI's with `file-`.
        if not isinstance(file_id, str) or not file_id.startswith("file_"):
            raise UnsupportedByProvider(
                f"{file_id!r} is not a file of the Messages API; send the content itself",
                param="input",
            )
        self.betas.add(FILES_BETA)
        return {"type": "file", "file_id": file_id}


def conversation(turn: Turn, scope: str, leave_out: LeaveOut) -> Conversation:
    built = Conversation(leave_out)
    if turn.instructions and turn.instructions.strip():
        built.system.append(_text(turn.instructions))
    for piece in turn.replay(scope):
        built.add(piece)
    built.finish()
    return built


def without_thinking(messages: Sequence[Message]) -> list[Message]:
    thoughtless = [
        {**message, "content": [b for b in message["content"] if b["type"] not in _THINKING]}
        for message in messages
    ]
    return merged([message for message in thoughtless if message["content"]])


def loop_lacks_thinking(messages: Sequence[Message]) -> bool:
    """Tool results go back to a call that no thinking led to: it was another model's."""
    if len(messages) < 2 or messages[-1]["content"][0]["type"] != "tool_result":
        return False
    return messages[-2]["content"][0]["type"] not in _THINKING


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _strip_trailing_thinking(content: list[Block]) -> None:
    while content and content[-1]["type"] in _THINKING:
        content.pop()


def _strip_trailing_space(content: list[Block]) -> None:
    if content[-1]["type"] == "text":
        content[-1] = {**content[-1], "text": content[-1]["text"].rstrip()}


def _inline_image(media_type: str, data: str) -> Block:
    if media_type not in _IMAGE_TYPES:
        raise UnsupportedByProvider(
            f"an image is of type {media_type!r}; it must be one of {', '.join(_IMAGE_TYPES)}",
            param="input",
        )
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _document_source(media_type: str, data: str) -> Block:
    if media_type == "application/pdf":
        return {"type": "base64", "media_type": media_type, "data": data}
    if media_type.startswith("text/") or media_type == "application/json":
        return {"type": "text", "media_type": "text/plain", "data": _decoded(data)}
    raise UnsupportedByProvider(
        f"a file is of type {media_type!r}; the Messages API takes PDF and plain text",
        param="input",
    )


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UnsupportedByProvider(
            "a text file is not base64-encoded UTF-8", param="input"
        ) from None
