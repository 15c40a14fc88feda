"""What the stores keep of JSON's edges, and what they refuse rather than change."""

from typing import Any

import pytest

from stores import StoredTurn, StoreError
from stores.base import NativeState
from stores.codec import LARGE, decode, decode_turns, encode, key, text


def nested(levels: int) -> Any:
    value: Any = "core"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [1, 198, 199, 200, 253])
@pytest.mark.parametrize("size", [0, 2 * LARGE])
def test_deep_values_come_back(levels: int, size: int) -> None:
    value = {"deep": nested(levels), "filler": "x" * size}

    assert decode(encode(value, "input")) == value


@pytest.mark.parametrize(
    "value",
    [
        nested(255),
        2**64,
        -(2**63) - 1,
        "\ud800",
        {"\udc00": 1},
        {1: "one"},
        {"a": {1, 2}},
        b"bytes",
    ],
    ids=lambda value: str(type(value)),
)
def test_what_would_come_back_changed_is_refused(value: Any) -> None:
    with pytest.raises(StoreError, match="the input"):
        encode(value, "the input")


def test_a_refusal_does_not_quote_the_value() -> None:
    with pytest.raises(StoreError) as refused:
        encode({"prompt": "my secret \ud800"}, "input")

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("filler", ["", "x" * LARGE, "\u00fc" * LARGE, "\U0001f600\x00" * LARGE])
def test_turns_are_read_with_their_native_forms(filler: str) -> None:
    joined = b",".join(
        [
            encode([filler], "input"),
            b"[]",
            b"null",
            encode([], "input"),
            encode([{"text": filler}], "output"),
            encode(["scope", None], "native"),
        ]
    )

    turns = decode_turns(b"[" + joined + b"]", count=2)

    assert turns == [
        StoredTurn([filler], [], None),
        StoredTurn([], [{"text": filler}], NativeState("scope", None)),
    ]


def test_text_that_utf_8_cannot_hold_is_no_key_and_no_name() -> None:
    assert key("a\x00\u00fc\U0001f600") == text("a\x00\u00fc\U0001f600", "id")
    assert key("\ud800") is None
    with pytest.raises(StoreError, match="end_user"):
        text("a\ud800", "end_user")


@pytest.mark.parametrize("size", [0, 2 * LARGE])
def test_what_is_damaged_is_an_error_of_the_store(size: int) -> None:
    damaged = encode("x" * size, "input")[:-1] + b"\xff"

    with pytest.raises(StoreError, match="damaged") as raised:
        decode(damaged)
    assert "xx" not in str(raised.value)
    with pytest.raises(StoreError, match="damaged"):
        decode_turns(b"[%b,[],null]" % damaged, count=1)
