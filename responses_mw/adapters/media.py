"""Bytes that a request carries: data URLs, base64 and what type they are of.

Shared by the adapters whose format wants the media type and the data apart.
"""

import base64
import re
from mimetypes import guess_type
from urllib.parse import unquote_to_bytes, urlsplit

from responses_mw.errors import UnsupportedByProvider

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)

_HEADS = {
    "JVBERi0": "application/pdf",
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
}
"""How base64 of well-known types begins."""


def read_data_url(url: str) -> tuple[str, str]:
    """Media type and base64 data."""
    found = _DATA_URL.match(url)
    if found is None:
        raise UnsupportedByProvider(
            f"a data URL begins with {url[:20]!r}; it must be data:TYPE;base64,DATA", param="input"
        )
    media_type, data = found[1].lower() or "text/plain", url[found.end() :]
    if found[3] is None:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return media_type, data


def read_file_data(file_data: str, filename: str | None) -> tuple[str, str]:
    """Media type and base64 data of a data URL, or of base64 alone, whose type is found out."""
    if file_data[:5].lower() == "data:":
        return read_data_url(file_data)
    return type_of_data(file_data, filename), file_data


def type_of_data(data: str, filename: str | None) -> str:
    """Content says more than a name. What has no known type may be text."""
    for head, media_type in _HEADS.items():
        if data.startswith(head):
            return media_type
    return guess_type(filename or "")[0] or "text/plain"


def type_of_url(url: str) -> str | None:
    """By the ending of its path; None if that says nothing."""
    return guess_type(urlsplit(url).path)[0]
