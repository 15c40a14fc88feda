from typing import Any

import orjson
import pytest
from cases import needs_recordings
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseUsage
from published import violations

from responses_mw.deltas import UsageReported
from responses_mw.envelope import grown, response_body, shrunk, usage_body
from responses_mw.schema import CreateRequest

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
FORMAT = {"type": "json_schema", "name": "p", "schema": {"type": "object"}}
MCP = {"type": "mcp", "server_label": "s", "server_url": "https://example.com"}

REQUESTS: list[dict[str, Any]] = [
    {},
    {"stream": True, "store": False, "background": False, "instructions": "Be brief."},
    {"metadata": {"a": "b"}, "temperature": 0, "top_p": 1, "top_logprobs": 5, "user": "u"},
    {"presence_penalty": 1, "frequency_penalty": -0.5, "max_output_tokens": 16},
    {"max_tool_calls": 3, "safety_identifier": "s", "prompt_cache_key": "k"},
    {"previous_response_id": "resp_1", "truncation": "disabled", "service_tier": "flex"},
    {"prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}},
    {"prompt_cache_retention": "in-memory"},
    {"prompt_cache_options": {"comparison_response_id": "resp_1"}},
    {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
    {"text": {"format": FORMAT}},
    {"text": {"format": {**FORMAT, "description": "A person", "strict": True}}},
    {"reasoning": {}},
    {"reasoning": {"effort": "high"}},
    {"reasoning": {"effort": "minimal", "summary": "auto", "context": "auto"}},
    {"tools": [WEATHER, {"type": "function", "name": "f"}], "parallel_tool_calls": False},
    {"tools": [WEATHER], "tool_choice": "required"},
    {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "get_weather"}},
    {
        "tools": [WEATHER],
        "tool_choice": {
            "type": "allowed_tools",
            "tools": [{"type": "function", "name": "get_weather"}],
        },
    },
    {"tools": [{"type": "custom", "name": "run", "description": None}, {"type": "web_search"}]},
    {"tools": [{**MCP, "headers": {"Authorization": "x"}, "authorization": "y"}]},
]


def shown(**parameters: Any) -> dict[str, Any]:
    request = CreateRequest.of({"model": "m", "input": "Hi.", **parameters})
    return response_body(request, id="resp_1", created_at=1_700_000_000, model="m")


@pytest.mark.parametrize("parameters", REQUESTS, ids=lambda v: str(v)[:60])
@needs_recordings
def test_a_response_satisfies_both_published_schemas(parameters: dict[str, Any]) -> None:
    body = shown(**parameters)

    assert violations("or", "ResponseResource", body) == []
    assert violations("oa", "Response", body) == []


@pytest.mark.parametrize("parameters", REQUESTS, ids=lambda v: str(v)[:60])
def test_a_response_satisfies_the_official_client(parameters: dict[str, Any]) -> None:
    parsed = Response.model_validate(shown(**parameters))

    assert (parsed.id, parsed.status, parsed.output) == ("resp_1", "in_progress", [])


@pytest.mark.parametrize("parameters", REQUESTS, ids=lambda v: str(v)[:60])
def test_what_may_never_be_null_is_not(parameters: dict[str, Any]) -> None:
    nullable = {
        "completed_at",
        "incomplete_details",
        "previous_response_id",
        "instructions",
        "error",
        "usage",
        "max_output_tokens",
        "max_tool_calls",
        "safety_identifier",
        "prompt_cache_key",
        "user",
    }
    body = shown(**parameters)

    assert {name for name, value in body.items() if value is None} <= nullable
    assert nullable <= set(body)


def test_what_was_not_asked_is_shown_with_its_default() -> None:
    body = shown()

    assert body["tools"] == []
    assert body["tool_choice"] == "auto"
    assert body["metadata"] == {}
    assert body["text"] == {"format": {"type": "text"}}
    assert body["reasoning"] == {"effort": None, "summary": None}
    assert (body["temperature"], body["top_p"], body["top_logprobs"]) == (1.0, 1.0, 0)
    assert (body["presence_penalty"], body["frequency_penalty"]) == (0.0, 0.0)
    assert (body["store"], body["background"], body["parallel_tool_calls"]) == (True, False, True)
    assert (body["truncation"], body["service_tier"]) == ("disabled", "default")
    assert (body["status"], body["output"], body["usage"]) == ("in_progress", [], None)


def test_what_was_asked_is_shown_again() -> None:
    asked: dict[str, Any] = {
        "metadata": {"run": "42"},
        "temperature": 0.5,
        "max_output_tokens": 500,
        "max_tool_calls": 2,
        "parallel_tool_calls": False,
        "safety_identifier": "user-1",
        "prompt_cache_key": "key",
        "store": False,
        "tools": [WEATHER],
        "instructions": "Be brief.",
        "previous_response_id": "resp_0",
        "top_logprobs": 2,
        "user": "u",
    }

    body = shown(**asked)

    assert {name: body[name] for name in asked} == asked


def test_a_short_function_is_shown_with_every_key() -> None:
    assert shown(tools=[{"type": "function", "name": "f"}])["tools"] == [
        {
            "type": "function",
            "name": "f",
            "description": None,
            "parameters": None,
            "strict": None,
        }
    ]


def test_a_schema_is_shown_whole() -> None:
    assert shown(text={"format": FORMAT})["text"]["format"] == {
        **FORMAT,
        "description": None,
        "strict": False,
    }


def test_allowed_tools_are_shown_with_their_mode_beside_all_tools() -> None:
    choice = {"type": "allowed_tools", "tools": [{"type": "function", "name": "get_weather"}]}

    body = shown(tools=[WEATHER, {"type": "function", "name": "f"}], tool_choice=choice)

    assert body["tool_choice"] == {**choice, "mode": "auto"}
    assert len(body["tools"]) == 2


def test_a_deprecated_summary_is_shown_under_its_new_name() -> None:
    assert shown(reasoning={"generate_summary": "concise"})["reasoning"]["summary"] == "concise"


def test_credentials_for_a_tool_are_not_shown() -> None:
    tool = {**MCP, "authorization": "s3cret", "headers": {"X-Key": "s3cret"}}

    body = shown(tools=[tool])

    assert "s3cret" not in str(body)
    assert body["tools"] == [{**MCP, "headers": {"X-Key": "[redacted]"}}]


@needs_recordings
def test_usage_satisfies_both_published_schemas() -> None:
    body = usage_body(UsageReported(10, 20, 3, 4, 5))

    assert violations("or", "Usage", body) == []
    assert violations("oa", "ResponseUsage", body) == []


def test_usage_satisfies_the_official_client() -> None:
    usage = ResponseUsage.model_validate(usage_body(UsageReported(10, 20, 3, 4, 5)))

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (10, 20, 30)
    assert usage.input_tokens_details.cached_tokens == 3
    assert usage.input_tokens_details.cache_write_tokens == 4
    assert usage.output_tokens_details.reasoning_tokens == 5


USAGE = st.builds(
    UsageReported,
    *[st.integers(0, 9)] * 5,
    cost=st.none() | st.floats(0, 1),
).map(usage_body)


@given(
    changes=st.dictionaries(
        st.sampled_from(["temperature", "tools", "metadata", "usage", "error", "store", "extra"]),
        st.none() | st.booleans() | st.integers(-9, 9) | st.text() | st.just({}) | USAGE,
    )
)
def test_what_is_usual_is_not_stored_and_comes_back(changes: dict[str, Any]) -> None:
    request = CreateRequest.of({"model": "m", "input": "hi"})
    body = response_body(request, id="resp_1", created_at=1, model="m") | changes
    kept = orjson.loads(orjson.dumps(shrunk(body)))
    output = body.pop("output")
    assert grown(kept) == body
    assert output == []


def test_usage_is_stored_as_its_numbers() -> None:
    request = CreateRequest.of({"model": "m", "input": "hi"})
    body = response_body(request, id="resp_1", created_at=1, model="m")
    body["usage"] = usage_body(UsageReported(100, 20, 3, 4, 5))
    assert shrunk(body)["usage"] == [100, 20, 3, 4, 5]


def test_a_plain_response_is_stored_in_few_bytes() -> None:
    request = CreateRequest.of({"model": "m", "input": "hi"})
    body = response_body(request, id="resp_" + "0" * 32, created_at=1, model="m")
    assert len(orjson.dumps(shrunk(body))) < 130
