"""What a provider is shown of a chain: everything that was said, and nothing that was cut off."""

from typing import Any

import pytest

from responses_mw.conversation import rebuild
from responses_mw.deltas import NativeTurn
from responses_mw.errors import InvalidRequest
from responses_mw.turn import Span
from stores.base import History, NativeState, Status, StoredTurn

Item = dict[str, Any]


def said(role: str, text: str) -> Item:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def call(id: str, status: str = "completed") -> Item:
    return {
        "type": "function_call", "call_id": id, "name": "f", "arguments": "{}", "status": status,
    }  # fmt: skip


def answer(id: str) -> Item:
    return {"type": "function_call_output", "call_id": id, "output": "42"}


def thought(status: str = "completed") -> Item:
    return {"type": "reasoning", "summary": [], "status": status}


def history(*turns: StoredTurn, status: Status = "completed") -> History:
    return History(status, list(turns))


def items(spans: list[Span]) -> list[Item]:
    return [item for span in spans for item in span.items]


def test_turns_come_in_order_with_the_new_input_last() -> None:
    stored = history(
        StoredTurn([said("user", "1")], [said("assistant", "2")]),
        StoredTurn([said("user", "3")], [said("assistant", "4")]),
    )
    spans = rebuild(stored, [Span([said("user", "5")])])
    assert [item["content"][0]["text"] for item in items(spans)] == ["1", "2", "3", "4", "5"]


def test_the_last_responses_calls_must_be_answered() -> None:
    stored = history(StoredTurn([said("user", "?")], [call("a"), call("b")]))
    with pytest.raises(InvalidRequest, match="No tool output found for function call b") as caught:
        rebuild(stored, [Span([answer("a")])])
    assert caught.value.param == "input"
    assert rebuild(stored, [Span([answer("a"), answer("b")])])


@pytest.mark.parametrize("status", ["failed", "cancelled", "incomplete"])
def test_what_an_unfinished_response_left_open_needs_no_answer(status: Status) -> None:
    cut = StoredTurn(
        [said("user", "?")],
        [thought("incomplete"), said("assistant", "half"), call("a"), call("b", "incomplete")],
        NativeState("scope", {"plain": ["all of it"]}),
    )
    spans = rebuild(history(cut, status=status), [Span([said("user", "go on")])])
    assert [item["type"] for item in items(spans)] == ["message"] * 3
    assert all(span.native is None for span in spans)


def test_calls_that_an_older_turn_left_open_are_left_out() -> None:
    stored = history(
        StoredTurn([said("user", "?")], [call("a")]),
        StoredTurn([said("user", "never mind")], [said("assistant", "ok")]),
    )
    spans = rebuild(stored, [Span([said("user", "!")])])
    assert "function_call" not in {item["type"] for item in items(spans)}


def test_an_output_without_its_call_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="call_id nobody") as caught:
        rebuild(history(StoredTurn([said("user", "?")], [])), [Span([answer("nobody")])])
    assert caught.value.param == "input"


def test_a_clients_own_call_must_be_answered() -> None:
    with pytest.raises(InvalidRequest, match="No tool output found for function call a"):
        rebuild(None, [Span([said("user", "?"), call("a")])])


def test_stored_outputs_whose_call_was_purged_are_left_out() -> None:
    stored = history(StoredTurn([], []), StoredTurn([answer("a")], [said("assistant", "42")]))
    assert [item["type"] for item in items(rebuild(stored, []))] == ["message"]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {}},
        {"type": "tool_search_call", "call_id": "c", "execution": "server", "arguments": {}},
        {"type": "program", "call_id": "c", "code": "1"},
        {"type": "mcp_call", "id": "m", "call_id": ""},
    ],
)
def test_what_the_server_runs_by_itself_needs_no_answer(item: Item) -> None:
    stored = history(StoredTurn([said("user", "?")], [item, said("assistant", "done")]))
    assert item in items(rebuild(stored, [Span([said("user", "go on")])]))


def test_a_whole_turn_keeps_its_native_form() -> None:
    text = "a long thought " * 20
    output = [said("assistant", text), call("a")]
    state = [{"type": "text", "text": text}]
    kept = NativeState("scope", {"packed": [{"type": "text", "text": {"$": 0}}]})
    spans = rebuild(history(StoredTurn([], output, kept)), [Span([answer("a")])])
    assert spans[0].native == NativeTurn("scope", state)
