"""Images, documents, video and sound as blocks of the Converse API: formats, names and bytes.

Bedrock takes the bytes themselves and nothing else that a client could send: no address, no id.
"""

import re
from collections.abc import Mapping
from typing import Any

from responses_mw.adapters.media import read_data_url, read_file_data
from responses_mw.errors import UnsupportedByProvider

Block = dict[str, Any]
Part = Mapping[str, Any]

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_AUDIO = {
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp4": "mp4",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "audio/x-wav": "wav",
}
_VIDEO = {
    "video/3gpp": "three_gp",
    "video/mp4": "mp4",
    "video/mpeg": "mpeg",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/x-matroska": "mkv",
    "video/x-ms-wmv": "wmv",
}
_DOCUMENTS = {
    "application/json": "txt",
    "application/msword": "doc",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
}
_ENDINGS = {
    **{kind: kind for kind in ("csv", "doc", "docx", "html", "md", "pdf", "xls", "xlsx")},
    "htm": "html",
}
"""Of file names: not every machine's table of media types knows them."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9()\[\]-]+")
_MAX_NAME = 180


class Media:
    """The blocks of one request: within it, no two documents may have the same name."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def image(self, part: Part) -> Block:
        if part.get("image_url") is None:
            raise _no_id(part)
        if not part["image_url"].lower().startswith("data:"):
            raise UnsupportedByProvider(
                "Bedrock fetches no image; send it as a data URL (data:image/png;base64,...)",
                param="input",
            )
        media_type, data = read_data_url(part["image_url"])
        if media_type not in _IMAGES:
            raise UnsupportedByProvider(
                f"an image is of type {media_type!r}; it must be one of {', '.join(_IMAGES)}",
                param="input",
            )
        return _block("image", _IMAGES[media_type], data)

    def file(self, part: Part) -> Block:
        if part.get("file_data") is None:
            if part.get("file_url") is None:
                raise _no_id(part)
            raise UnsupportedByProvider(
                "Bedrock fetches no file; send its content as file_data", param="input"
            )
        filename = part.get("filename") or ""
        media_type, data = read_file_data(part["file_data"], filename)
        for kind, formats in (("image", _IMAGES), ("video", _VIDEO), ("audio", _AUDIO)):
            if media_type in formats:
                return _block(kind, formats[media_type], data)
        block = _block("document", _document_format(media_type, filename), data)
        block["document"]["name"] = self._free_name(filename)
        return block

    def audio(self, part: Part) -> Block:
        return _block("audio", part["input_audio"]["format"], part["input_audio"]["data"])

    def _free_name(self, filename: str) -> str:
        """The same one in every turn: names are given in the order of the conversation."""
        stem = filename.rpartition("/")[2].partition(".")[0]
        name = _NOT_IN_NAMES.sub(" ", stem).strip()[:_MAX_NAME] or "document"
        free, again = name, 1
        while free in self._names:
            again += 1
            free = f"{name} {again}"
        self._names.add(free)
        return free


def _block(kind: str, format: str, data: str) -> Block:
    return {kind: {"format": format, "source": {"bytes": data}}}


def _document_format(media_type: str, filename: str) -> str:
    known = _DOCUMENTS.get(media_type) or _ENDINGS.get(filename.rpartition(".")[2].lower())
    if known is not None:
        return known
    if media_type.startswith("text/"):
        return "txt"
    raise UnsupportedByProvider(
        f"a file is of type {media_type!r}; Bedrock takes PDF, Word, Excel, CSV, HTML, Markdown, "
        "plain text, images, video and sound",
        param="input",
    )


def _no_id(part: Part) -> UnsupportedByProvider:
    return UnsupportedByProvider(
        f"{part.get('file_id')!r} is not a file that Bedrock knows; send the content itself",
        param="input",
    )
