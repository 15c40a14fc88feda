"""What breaks things: texts, values, JSON that is none; and how it gets into a place of a body."""

import copy
from collections.abc import Iterator
from typing import Any

HOOK = "@here@"
"""Where a value of a body goes that JSON does not have."""

TEXTS = [
    "", "0", "-1", "9" * 30, "1e400", "nan", "null", "a\x00b", "\x00", "%00", "..",
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "x\r\nset-cookie: evil=1", '\n{"level":"info"}',
    "\u202eevil\u2066", "\u0130\u0131\ufb01", "\ud7ff\ue000\uffff", "$1", "{0}", "%s%n",
    "'; DROP TABLE rmw_response; --", "%' OR '1'='1", "${jndi:ldap://127.0.0.1/}", "A" * 5000,
    "resp_" + "0" * 32, "conv_" + "0" * 32, "msg_" + "0" * 32 + "_0", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "2026-02-30",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 1e308, -1e308, 0.5,
    [], {}, [None], [[]], [{}], {"": {}}, {"type": None}, {"id": "\x00"}, {"type": "message"},
    ["x"] * 200,
]  # fmt: skip
TOKENS = [
    b"1e400", b"1" + b"0" * 400, b"-0", b"1E-400", b"NaN", b"-Infinity", b'"\\ud800"', b'"\\u0000"',
    b"[" * 300 + b"]" * 300, b'{"a":' * 300 + b"1" + b"}" * 300, b'{"type":"x","type":"message"}',
    b'"\xff"', b"\xef\xbb\xbf1", b"", b'"a":1', b"[" * 5000,
]  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from places(inner, (*at, n))


def with_value(body: Any, at: tuple[Any, ...], value: Any) -> Any:
    if not at:
        return value
    changed = copy.deepcopy(body)
    holder = changed
    for step in at[:-1]:
        holder = holder[step]
    holder[at[-1]] = value
    return changed
