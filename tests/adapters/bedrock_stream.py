"""Event streams as AWS would frame them, for what was never recorded."""

import struct
import zlib
from typing import Any

import orjson


def stream(*events: tuple[str, Any]) -> bytes:
    """A name that ends in Exception is an exception's."""
    return b"".join(frame(kind, payload) for kind, payload in events)


def frame(kind: str, payload: Any) -> bytes:
    failed = kind.endswith("Exception")
    name = ":exception-type" if failed else ":event-type"
    headers = _header(name, kind) + _header(":content-type", "application/json")
    headers += _header(":message-type", "exception" if failed else "event")
    data = orjson.dumps(payload)
    prelude = struct.pack(">II", 16 + len(headers) + len(data), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + data
    return body + struct.pack(">I", zlib.crc32(body))


def _header(name: str, value: str) -> bytes:
    said = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(said)) + said


BEGIN = ("messageStart", {"role": "assistant"})
METADATA = (
    "metadata",
    {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 1}},
)


def delta(index: int, **said: Any) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": said}


def start(index: int, **said: Any) -> tuple[str, Any]:
    return "contentBlockStart", {"contentBlockIndex": index, "start": said}


def stop(index: int) -> tuple[str, Any]:
    return "contentBlockStop", {"contentBlockIndex": index}


def end(reason: str = "end_turn") -> tuple[str, Any]:
    return "messageStop", {"stopReason": reason}
