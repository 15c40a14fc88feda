"""Writes the parts of a message of Responses as chat completions have them."""

from collections.abc import Mapping, Sequence
from typing import Any

from responses_mw.adapters.chat_dialects import ChatDialect
from responses_mw.errors import UnsupportedByProvider

Part = Mapping[str, Any]

TEXTS = frozenset({"input_text", "output_text", "text"})


class PartWriter:
    """Raises UnsupportedByProvider. Appends to `dropped` what was left out."""

    def __init__(self, dialect: ChatDialect, dropped: list[str]) -> None:
        self._dialect = dialect
        self._dropped = dropped

    def user_content(self, content: Sequence[Part]) -> str | list[dict[str, Any]]:
        if len(content) == 1 and content[0]["type"] in TEXTS:
            text: str = content[0]["text"]  # most messages of most conversations
            return text
        parts = [self.user_part(part) for part in content]
        if all(part["type"] == "text" for part in parts) and (
            len(parts) < 2 or not self._dialect.text_parts
        ):
            return "\n".join(part["text"] for part in parts)
        return parts

    def user_part(self, part: Part) -> dict[str, Any]:
        match part["type"]:
            case "input_text" | "output_text" | "text":
                return {"type": "text", "text": part["text"]}
            case "input_image":
                return self._image(part)
            case "input_file":
                return self._file(part)
            case other:
                raise self.unknown_part(other, "user")

    def _image(self, part: Part) -> dict[str, Any]:
        url = part.get("image_url")
        if not url:
            raise self._no_file_id("image_url")
        image = {"url": url}
        detail = part.get("detail")
        if detail == "original":
            image["detail"] = "high"  # the most that this format can ask for
            self._dropped.append("input_image.detail")
        elif detail and detail != "auto":
            image["detail"] = detail
        return {"type": "image_url", "image_url": image}

    def _file(self, part: Part) -> dict[str, Any]:
        if self._dialect.file_parts is None:
            raise UnsupportedByProvider(
                f"{self._dialect.name} cannot take an input_file; send its text as input_text",
                param="input",
            )
        source = part.get("file_data")
        if not source and self._dialect.file_urls:
            source = part.get("file_url")
        if not source and part.get("file_url"):
            raise UnsupportedByProvider(
                f"{self._dialect.name} cannot fetch a file_url; send the file as file_data",
                param="input",
            )
        if not source:
            raise self._no_file_id("file_data")
        name = part.get("filename")
        if self._dialect.file_parts == "document_url":
            named = {"document_name": name} if name else {}
            return {"type": "document_url", "document_url": source, **named}
        return {"type": "file", "file": {"filename": name or "file", "file_data": source}}

    def only_text(self, part: Part, role: str) -> str:
        if part["type"] not in ("input_text", "output_text", "text"):
            raise self.unknown_part(part["type"], role)
        return str(part["text"])

    def unknown_part(self, type: object, role: str) -> UnsupportedByProvider:
        return UnsupportedByProvider(
            f"{self._dialect.name} cannot take a part of type {type!r} in a {role} message",
            param="input",
        )

    def _no_file_id(self, instead: str) -> UnsupportedByProvider:
        return UnsupportedByProvider(
            f"a file_id is known only to the provider it was uploaded to, and {self._dialect.name} "
            f"takes none; send {instead}",
            param="input",
        )
