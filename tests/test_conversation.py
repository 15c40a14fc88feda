"""What a provider is shown of a chain: everything that was said, and nothing that was cut off."""

from collections.abc import Sequence
from typing import Any

import pytest

from responses_mw.conversation import Settled, rebuild, settle
from responses_mw.deltas import NativeTurn
from responses_mw.errors import InvalidRequest
from responses_mw.native_refs import pack
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


def test_a_call_whose_id_came_before_must_be_answered_again() -> None:
    """Some providers count calls from zero in each turn."""
    before = StoredTurn([said("user", "?")], [call("c0")])
    again = StoredTurn([answer("c0")], [call("c0")])
    with pytest.raises(InvalidRequest, match="No tool output found for function call c0"):
        rebuild(history(before, again), [Span([said("user", "go on")])])
    with pytest.raises(InvalidRequest, match="No tool output found for function call c0"):
        rebuild(None, [Span([call("c0"), answer("c0"), call("c0")])])
    whole = [call("c0"), answer("c0"), call("c0"), answer("c0")]
    assert items(rebuild(history(before, again), [Span([answer("c0")])]))[1:] == whole
    assert items(rebuild(None, [Span(whole)])) == whole


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


NATIVE = NativeState("s", pack({"n": 1}, []))
TURNS = {
    "words": StoredTurn([said("user", "q")], [said("assistant", "a")]),
    "nothing": StoredTurn([], []),
    "native": StoredTurn([said("user", "q")], [said("assistant", "a")], NATIVE),
    "call": StoredTurn([said("user", "q")], [thought(), call("c")]),
    "calls": StoredTurn([said("user", "q")], [call("c"), call("d")]),
    "output": StoredTurn([answer("c")], [said("assistant", "a")]),
    "output and call": StoredTurn([answer("c")], [call("c")]),
    "both": StoredTurn([call("e"), answer("e")], [said("assistant", "a")]),
    "cut": StoredTurn([said("user", "q")], [thought("incomplete"), said("assistant", "a")]),
    "compacted": StoredTurn([said("user", "q")], [{"type": "compaction"}]),
}


@pytest.mark.parametrize("first", TURNS)
@pytest.mark.parametrize("second", TURNS)
def test_a_history_is_rebuilt_the_same_whatever_of_it_is_settled(first: str, second: str) -> None:
    for third in TURNS.values():
        turns = [TURNS[first], TURNS[second], third]
        settled = settle(turns)
        assert settle(turns, settle(turns[:2], settle(turns[:1]))) == settled
        for new in ([], [answer("c"), answer("d")], [said("user", "q")]):
            of_all = rebuilt(History("completed", turns), new, Settled())
            assert rebuilt(History("completed", turns), new, settled) == of_all


def rebuilt(history: History, new: list[Item], settled: Settled) -> list[Item] | str:
    try:
        return items(rebuild(history, [Span(new)], unseal=opened, settled=settled))
    except InvalidRequest as refused:
        return refused.message


def opened(sealed: Sequence[Item]) -> list[Span]:
    return [Span([said("user", "in short")])]


def test_a_call_is_settled_with_its_output() -> None:
    turns = [TURNS[name] for name in ("words", "calls", "output", "words")]
    assert settle(turns).turns == 1
    assert settle([*turns, StoredTurn([answer("d")], [])]).turns == 5


def test_what_was_cut_off_is_never_settled() -> None:
    assert settle([TURNS[name] for name in ("words", "cut", "words")]).turns == 1
