"""A hook answers with a response that it kept: a cache."""

from typing import Any

import pytest
from test_hooks import create, said, served

from responses_mw.deltas import (
    AnnotationAdded,
    ItemFinished,
    MessageStarted,
    OutputItem,
    PartFinished,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from responses_mw.given import deltas_of
from responses_mw.records import Caller
from responses_mw.testing import ScriptedProvider
from responses_mw.turn import Turn
from responses_mw.typed import Response

MANY = [
    ReasoningDelta("because"),
    MessageStarted("commentary"),
    TextDelta("first"),
    AnnotationAdded({"type": "url_citation", "url": "https://a.example", "title": "A",
                     "start_index": 0, "end_index": 5}),
    PartFinished(),
    TextDelta("second"),
    ItemFinished(),
    ToolCallStarted("k", "add", "call_7"),
    ToolCallDelta("k", '{"a": 1}'),
    OutputItem({"type": "web_search_call", "status": "completed", "action": {"type": "search",
                "query": "q"}}),
    Stopped("max_output_tokens"),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hook_answers_with_a_response_that_it_kept(stream: bool) -> None:
    class Cache:
        def __init__(self) -> None:
            self.kept: dict[str, Any] = {}

        def before_turn(self, turn: Turn, caller: Caller) -> Any:
            return self.kept.get("hi")

        def after_response(self, response: dict[str, Any]) -> None:
            self.kept.setdefault("hi", response)

    provider = ScriptedProvider(MANY, "never")
    async with served(provider, Cache()) as http:
        first = await said(http, stream=stream)
        again = await said(http, stream=stream)
    assert len(provider.turns) == 1
    assert first["id"] != again["id"]
    assert without_ids(again["output"]) == without_ids(first["output"])
    assert (again["status"], again["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )


def without_ids(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in item.items() if name != "id"} for item in items]


@pytest.mark.parametrize("made", [7, {"no": "output"}, b"bytes"])
async def test_what_is_no_answer_is_a_500_and_named_in_the_log(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong:
        def before_turn(self, turn: Turn, caller: Caller) -> Any:
            return made

    async with served(ScriptedProvider("never"), Wrong()) as http:
        assert (await create(http)).status_code == 500
    assert f"before_turn of Wrong returned a {type(made).__name__}" in caplog.text


def test_a_response_of_the_python_calls_is_one_too() -> None:
    message = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    kept = {"object": "response", "output": [message], "incomplete_details": None}
    expected = [MessageStarted(), RefusalDelta("no"), ItemFinished(), Stopped()]
    assert deltas_of(Response(kept)) == deltas_of(kept) == expected


def test_a_call_keeps_its_namespace_and_reasoning_without_words_is_left_out() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "theirs"}
    output = [sealed, {**call, "namespace": "files", "caller": None}]
    assert deltas_of({"object": "response", "output": output}) == [
        ToolCallStarted(1, "look", "c", {"namespace": "files"}),
        ToolCallDelta(1, "{}"),
        ItemFinished(1),
        Stopped(),
    ]
