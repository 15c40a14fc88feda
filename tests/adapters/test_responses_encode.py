"""How a turn is written for an upstream that speaks Responses, vendor by vendor."""

from typing import Any

import pytest

from responses_mw.adapters import openai_responses_dialects as dialects
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.openai_responses_dialects import DIALECTS
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider, UpstreamProtocolError
from responses_mw.items import stored_items
from responses_mw.turn import Item, Span, Turn

FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object"}}
GO = {**FUNCTION, "name": "go"}
ALLOWED = {
    "type": "allowed_tools",
    "mode": "required",
    "tools": [{"type": "function", "name": "go"}],
}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c" * 80,
    "name": "look",
    "arguments": "{}",
    "status": "completed",
}


def items(*given: Item) -> list[Item]:
    return stored_items(given, "resp_" + "0" * 32)


def turn(*spans: Span | Item, **options: Any) -> Turn:
    found = [span if isinstance(span, Span) else Span(items(span)) for span in spans]
    given = found or [Span(items({"role": "user", "content": "Hi"}))]
    return Turn(**{"model": "gpt-5", "spans": given, **options})


def body(adapter: OpenAIResponses, *spans: Span | Item, **options: Any) -> dict[str, Any]:
    return adapter.encode(turn(*spans, **options)).body


def dropped(adapter: OpenAIResponses, *spans: Span | Item, **options: Any) -> tuple[str, ...]:
    return adapter.encode(turn(*spans, **options)).dropped


OPENAI = OpenAIResponses()


def test_nothing_is_kept_upstream_and_reasoning_is_asked_for() -> None:
    assert body(OPENAI) == {
        "model": "gpt-5",
        "store": False,
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "include": ["reasoning.encrypted_content"],
    }


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-5-chat-latest", "ft:gpt-4o:x"])
def test_models_that_do_not_reason_are_not_asked_for_it(model: str) -> None:
    assert "include" not in body(OPENAI, model=model)
    assert OPENAI.scope(turn(model=model)) != OPENAI.scope(turn())


def test_our_ids_mean_nothing_upstream() -> None:
    sent = body(
        OPENAI,
        {"role": "user", "content": "Hi"},
        {**CALL, "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": "x"},
        {"role": "assistant", "content": "Yes"},
    )["input"]
    assert [item.get("id") for item in sent] == [None] * 4
    assert [item["type"] for item in sent] == [
        "message", "function_call", "function_call_output", "message",
    ]  # fmt: skip


def native(adapter: OpenAIResponses, *said: Item, ours: list[Item]) -> Span:
    return Span(ours, NativeTurn(adapter.scope(turn()), {"items": list(said)}))


def test_a_turn_goes_back_as_its_upstream_said_it() -> None:
    ours = items({"type": "reasoning", "summary": []}, {**CALL, "call_id": "call_ours", "id": "x"})
    output = {"type": "function_call_output", "call_id": "call_ours", "output": "up"}
    sent = body(OPENAI, native(OPENAI, REASONING, CALL, ours=ours), output)["input"]
    assert sent[:2] == [REASONING, CALL]
    assert sent[2]["call_id"] == CALL["call_id"]


def test_another_upstream_gets_the_items_instead() -> None:
    ours = items({"type": "reasoning", "summary": []}, {**CALL, "call_id": "call_ours"})
    elsewhere = OpenAIResponses(binding="another organisation")
    sent = body(elsewhere, native(OPENAI, REASONING, CALL, ours=ours))["input"]
    assert [item["type"] for item in sent] == ["function_call"]
    assert sent[0]["call_id"] == "call_ours"


def test_an_approval_names_the_request_by_its_upstreams_id() -> None:
    request = {"type": "mcp_approval_request", "id": "mcpr_theirs", "server_label": "s"}
    request |= {"name": "n", "arguments": "{}"}
    said = native(OPENAI, request, ours=items({**request, "id": "mcpr_ours"}))
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_ours", "approve": True}
    assert body(OPENAI, said, answer)["input"][1]["approval_request_id"] == "mcpr_theirs"


def test_reasoning_binds_to_a_model_behind_a_gateway_only() -> None:
    gateway = OpenAIResponses(dialect=dialects.OPENROUTER)
    assert gateway.scope(turn(model="a/b")) != gateway.scope(turn(model="a/c"))
    assert OPENAI.scope(turn(model="gpt-5")) == OPENAI.scope(turn(model="gpt-5.1"))


# --- parameters and tools


def test_parameters_that_only_responses_has_are_passed_on() -> None:
    passed_on = {
        "store": True,
        "include": ["reasoning.encrypted_content", "file_search_call.results"],
        "max_tool_calls": 3,
        "prompt_cache_retention": "24h",
        "reasoning": {"context": "all_turns"},
    }
    sent = body(OPENAI, passed_on=passed_on, reasoning_effort="low")
    assert sent["store"] is False
    assert sent["include"] == ["reasoning.encrypted_content", "file_search_call.results"]
    assert sent["reasoning"] == {"effort": "low", "context": "all_turns"}
    assert (sent["max_tool_calls"], sent["prompt_cache_retention"]) == (3, "24h")

    others = body(OpenAIResponses(dialect=dialects.VLLM), passed_on=passed_on)
    assert set(others) == {"model", "input", "store"}


def test_what_an_upstream_has_no_word_for_is_named() -> None:
    vllm = OpenAIResponses(dialect=dialects.VLLM)
    options = {"presence_penalty": 0.5, "verbosity": "low", "service_tier": "flex"}
    assert dropped(vllm, **options) == ("presence_penalty", "text.verbosity", "service_tier")
    assert dropped(vllm, presence_penalty=0.0, verbosity="medium", service_tier="auto") == ()
    with pytest.raises(UnsupportedByProvider) as raised:
        body(vllm, strict=True, **options)
    assert raised.value.param == "presence_penalty"


def test_allowed_tools_are_told_where_they_are_understood() -> None:
    options: dict[str, Any] = {"tools": [FUNCTION, GO], "tool_choice": ALLOWED}
    sent = body(OPENAI, **options)
    assert (sent["tools"], sent["tool_choice"]) == ([FUNCTION, GO], ALLOWED)
    sent = body(OpenAIResponses(dialect=dialects.XAI), **options)
    assert (sent["tools"], sent["tool_choice"]) == ([GO], "required")


def test_a_tool_that_an_upstream_cannot_run_is_refused() -> None:
    with pytest.raises(UnsupportedByProvider) as raised:
        body(OpenAIResponses(dialect=dialects.VLLM), tools=[FUNCTION, {"type": "web_search"}])
    assert raised.value.param == "tools[1]"
    assert body(OPENAI, tools=[{"type": "web_search"}])["tools"] == [{"type": "web_search"}]


def test_work_of_hosted_tools_is_told_where_the_item_means_nothing() -> None:
    vllm = OpenAIResponses(dialect=dialects.VLLM)
    search = {"type": "web_search_call", "action": {"type": "search", "query": "q"}}
    [told] = body(vllm, search)["input"]
    assert (told["role"], told["content"]) == (
        "assistant",
        "<web_search_call>\nq\n</web_search_call>",
    )
    assert dropped(vllm, search) == ("input.web_search_call",)
    assert body(OPENAI, search)["input"][0]["action"] == search["action"]


def test_custom_tools_become_functions_where_there_are_only_those() -> None:
    vllm = OpenAIResponses(dialect=dialects.VLLM)
    call = {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "i"}
    answer = {"type": "custom_tool_call_output", "call_id": "c", "output": "o"}
    assert body(vllm, call, answer)["input"] == [
        {"type": "function_call", "call_id": "c", "name": "n", "arguments": '{"input": "i"}'},
        {"type": "function_call_output", "call_id": "c", "output": "o"},
    ]


def test_a_part_that_nobody_takes_is_refused() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
    with pytest.raises(UnsupportedByProvider, match="input_audio"):
        body(OPENAI, {"role": "user", "content": [audio]})


def test_the_developer_is_the_system_where_it_has_to_be() -> None:
    message = {"role": "developer", "content": "Be kind."}
    assert body(OPENAI, message)["input"][0]["role"] == "developer"
    assert body(OpenAIResponses(dialect=dialects.VLLM), message)["input"][0]["role"] == "system"


def test_extra_fields_and_headers_win() -> None:
    request = OPENAI.encode(turn(extra_body={"store": True, "x": 1}, extra_headers={"a": "b"}))
    assert (request.body["store"], request.body["x"], request.headers) == (True, 1, {"a": "b"})


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_every_dialect_has_its_name(name: str) -> None:
    adapter = OpenAIResponses(dialect=DIALECTS[name])
    assert adapter.name == name
    assert adapter.encode(turn()).path == "/responses"


# --- counting


def test_tokens_are_counted_without_an_answer() -> None:
    older = OpenAIResponses(api_version="2025-03-01-preview")
    request = older.count(turn(instructions="Be kind.", temperature=0.5, stream=True))
    assert request.path == "/responses/input_tokens?api-version=2025-03-01-preview"
    assert set(request.body) == {"model", "input", "instructions"}
    assert OPENAI.counted(b'{"object": "response.input_tokens", "input_tokens": 60}') == 60
    with pytest.raises(UpstreamProtocolError):
        OPENAI.counted(b"[]")
    with pytest.raises(UnsupportedByProvider):
        OpenAIResponses(dialect=dialects.VLLM).count(turn())
