"""What was written of a conversation's beginning is what would be written of it again."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_mw.adapters.chat_dialects import DIALECTS, OPENAI, ChatDialect
from responses_mw.adapters.chat_encode import encode_turn
from responses_mw.conversation import NOTHING, Settled, rebuild, settle
from responses_mw.deltas import NativeTurn
from responses_mw.turn import Span, Turn
from stores.base import History, StoredTurn

Item = dict[str, Any]


def message(role: str, *texts: str) -> Item:
    kind = "output_text" if role == "assistant" else "input_text"
    return {
        "type": "message",
        "role": role,
        "content": [{"type": kind, "text": text} for text in texts],
    }


def call(id: str) -> Item:
    return {"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"}


def output(id: str) -> Item:
    return {"type": "function_call_output", "call_id": id, "output": "done"}


THOUGHT: Item = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm"}],
}
PLAIN = StoredTurn([message("user", "Hi")], [message("assistant", "Hello")])
TURNS = st.sampled_from(
    [
        PLAIN,
        PLAIN,
        StoredTurn([message("user", "a")], [message("assistant", "b")]),
        StoredTurn([message("user", "a"), message("user", "b")], []),
        StoredTurn([message("user", "a", "b")], [message("assistant", "c")]),
        StoredTurn([message("user", "a")], [message("assistant", "c"), message("assistant", "d")]),
        StoredTurn([message("developer", "Be brief")], [message("assistant", "")]),
        StoredTurn([message("system", "Be kind"), message("user", "a")], []),
        StoredTurn([message("user", "a")], [THOUGHT, message("assistant", "c")]),
        StoredTurn([message("user", "a"), call("1"), output("1")], [message("assistant", "c")]),
        StoredTurn([], [message("assistant", "nobody asked")]),
    ]
)


def turn(turns: list[StoredTurn], settled: Settled, **more: Any) -> Turn:
    history = History("completed", turns) if turns else None
    spans = rebuild(history, [Span([message("user", "And now?")])], settled=settled)
    return Turn(model="m", spans=spans, beginning=settled.beginning, **more)


def same(asked: Turn, dialect: ChatDialect) -> None:
    written = encode_turn(asked, dialect, scope="x")
    again = encode_turn(replace(asked, beginning=None), dialect, scope="x")
    assert orjson.loads(orjson.dumps(written.body)) == again.body
    assert written.dropped == again.dropped


@settings(max_examples=300, deadline=None)
@given(
    turns=st.lists(TURNS, max_size=10),
    fork=st.lists(TURNS, max_size=4),
    at=st.integers(0, 9),
    dialect=st.sampled_from(list(DIALECTS.values())),
    instructions=st.sampled_from([None, "Be exact"]),
)
def test_turns_of_a_chain_and_of_its_forks_are_written_as_if_alone(
    turns: list[StoredTurn],
    fork: list[StoredTurn],
    at: int,
    dialect: ChatDialect,
    instructions: str | None,
) -> None:
    settled, kept = NOTHING, [NOTHING]
    for n in range(len(turns)):
        same(turn(turns[:n], settled, instructions=instructions), dialect)
        settled = settle(turns[: n + 1], settled)
        kept.append(settled)
    at = min(at, len(turns))
    other, chain = kept[at], turns[:at]
    for more in fork:
        same(turn(chain, other, instructions=instructions), dialect)
        chain = [*chain, more]
        other = settle(chain, other)
    same(turn(turns, settled, instructions=instructions), dialect)


def grown(count: int) -> tuple[list[StoredTurn], Settled]:
    turns, settled = list[StoredTurn](), NOTHING
    for n in range(count):
        encode_turn(turn(turns, settled), OPENAI, scope="x")
        turns = [*turns, StoredTurn([message("user", f"{n}?")], [message("assistant", f"{n}!")])]
        settled = settle(turns, settled)
    return turns, settled


def test_most_of_a_long_conversation_is_not_written_again() -> None:
    turns, settled = grown(20)
    messages = encode_turn(turn(turns, settled), OPENAI, scope="x").body["messages"]
    assert [type(each) for each in messages] == [orjson.Fragment, dict, dict]
    assert orjson.loads(orjson.dumps(messages)) == [
        *[
            {"role": role, "content": f"{n}{end}"}
            for n in range(20)
            for role, end in (("user", "?"), ("assistant", "!"))
        ],
        {"role": "user", "content": "And now?"},
    ]


@pytest.mark.parametrize("at", [0, 3, -4])
def test_what_somebody_put_in_the_place_of_a_span_is_written(at: int) -> None:
    turns, settled = grown(5)
    asked = turn(turns, settled)
    spans = list(asked.spans)
    spans[at] = Span([message("user", "[redacted]")])
    same(replace(asked, spans=spans), OPENAI)
    same(replace(asked, spans=asked.spans[2:]), OPENAI)
    same(replace(asked, spans=asked.spans[:3]), OPENAI)
    same(asked, OPENAI)


def test_what_a_provider_said_in_its_own_way_is_told_so() -> None:
    turns, settled = grown(3)
    asked = turn(turns, settled)
    native = NativeTurn("x", {"role": "assistant", "content": "2!", "own": 1})
    spans = [*asked.spans[:-2], Span(asked.spans[-2].items, native), asked.spans[-1]]
    same(replace(asked, spans=spans), OPENAI)
