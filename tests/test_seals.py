"""Sealed reasoning: it comes back as it went, or its items stand alone."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_mw.deltas import NativeTurn
from responses_mw.seals import Sealer

NATIVE = NativeTurn("anthropic:claude-x", [{"type": "thinking", "signature": "sig"}])
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "h"}]}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "hello", "annotations": []}],
}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}


def sealer(key: bytes = b"k" * 32, owner: str = "ann") -> Sealer:
    return Sealer(key, owner)


def test_a_reasoning_item_comes_back_with_its_native_form() -> None:
    sealed = {**REASONING, "encrypted_content": sealer().seal(NATIVE, [REASONING])}
    plain, native = sealer().spans([USER, sealed, MESSAGE])[:2]
    assert plain.items == [USER]
    assert native.items == [REASONING]
    assert native.native == NATIVE


def test_losing_id_and_status_on_the_way_does_no_harm() -> None:
    item = {"type": "reasoning", "summary": REASONING["summary"]}
    sealed = {**item, "encrypted_content": sealer().seal(NATIVE, [{**REASONING, "status": "x"}])}
    assert sealer().spans([sealed])[0].native == NATIVE


def test_a_seal_at_the_end_of_a_turn_covers_the_items_before_it() -> None:
    turn = [MESSAGE, CALL]
    empty = {"type": "reasoning", "summary": []}
    sealed = {**empty, "encrypted_content": sealer().seal(NATIVE, turn)}
    before, covered, after = sealer().spans([USER, *turn, sealed, USER])
    assert (before.items, before.native) == ([USER], None)
    assert (covered.items, covered.native) == ([*turn, empty], NATIVE)
    assert (after.items, after.native) == ([USER], None)


@pytest.mark.parametrize(
    "other", [sealer(owner="bob"), sealer(key=b"x" * 32)], ids=["owner", "server"]
)
def test_anothers_seal_is_left_out_and_its_item_stays(other: Sealer) -> None:
    sealed = {**REASONING, "encrypted_content": sealer().seal(NATIVE, [REASONING])}
    (span,) = other.spans([sealed])
    assert (span.items, span.native) == ([REASONING], None)


def test_changed_items_lose_their_native_form() -> None:
    summary = [{"type": "summary_text", "text": "changed"}]
    sealed = {
        **REASONING,
        "summary": summary,
        "encrypted_content": sealer().seal(NATIVE, [REASONING]),
    }
    (span,) = sealer().spans([sealed])
    assert span.native is None
    assert "encrypted_content" not in span.items[0]


def test_every_changed_byte_is_noticed() -> None:
    good = sealer().seal(NATIVE, [REASONING])
    raw = bytearray(base64.urlsafe_b64decode(good[5:]))
    for n in range(len(raw)):
        raw[n] ^= 1
        altered = "rmw1." + base64.urlsafe_b64encode(raw).decode()
        assert sealer().open(altered) is None, n
        raw[n] ^= 1
    assert sealer().open(good) is not None


@given(st.one_of(st.text(), st.text().map("rmw1.".__add__), st.none(), st.integers()))
def test_foreign_values_are_no_error(value: object) -> None:
    assert sealer().open(value) is None


def test_a_seal_without_native_form_is_an_opaque_nothing() -> None:
    sealed = {**REASONING, "encrypted_content": sealer().seal(None, [REASONING])}
    (span,) = sealer().spans([sealed])
    assert (span.items, span.native) == ([REASONING], None)
