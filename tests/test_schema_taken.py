"""What is taken: bytes as JSON, every parameter as it was sent, and the turn that comes of them."""

import json
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import orjson
import pytest
from asked import (
    SCHEMA,
    TIME,
    UNKNOWN,
    UNSUPPORTED,
    VALUE,
    WEATHER,
    ask,
    refusal,
)
from cases import SHARED, needs_recordings
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ToolParam
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming

from responses_mw import later, tool_schema
from responses_mw.envelope import response_body
from responses_mw.errors import InvalidRequest
from responses_mw.items import stored_items
from responses_mw.schema import CreateRequest, turn_from
from responses_mw.turn import Span

# --- bytes


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"model": ',
        b"{'model': 'm'}",
        b'{"model": "m", "input": "\xff"}',
        b'{"model": "m", "input": NaN}',
        b'{"model": "m", "input": "Hi.", "max_output_tokens": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"input":' * 50_000,
        b'{"input": "\\ud800", ' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_bytes_that_are_not_json_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not valid JSON") as caught:
        CreateRequest.parse(body)

    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (rb'{"model": "m", "input": "a\ud800b"}', "input"),
        (rb'{"model": "m", "input": "\uDC00"}', "input"),
        (rb'{"model": "m", "input": [{"role": "user", "content": "\ud83d!"}]}', "input[0].content"),
        (rb'{"model": "\ud800", "input": "\ud800"}', "model"),
        (rb'{"model": "m", "input": "", "metadata": {"\ud800": "x"}}', "metadata"),
    ],
)
def test_a_lone_surrogate_is_refused_with_its_path(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest, match="lone surrogate") as caught:
        CreateRequest.parse(body)

    assert caught.value.param == param


def test_nul_and_paired_surrogates_are_text() -> None:
    request = CreateRequest.parse(rb'{"model": "m", "input": "\u0000 \ud83d\ude00"}')

    assert request.input == "\0 \N{GRINNING FACE}"


def nested(levels: int) -> Any:
    deep: Any = {}
    for _ in range(levels):
        deep = {"a": deep}
    return deep


PLACES_FOR_JSON: list[Callable[[Any], dict[str, Any]]] = [
    lambda deep: {"tools": [{**WEATHER, "parameters": deep}]},
    lambda deep: {"text": {"format": {"type": "json_schema", "name": "x", "schema": deep}}},
    lambda deep: {"input": [{"role": "user", "content": "Hi.", "extra": deep}]},
    lambda deep: {
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "name": "get_weather", "extra": deep},
    },
]


@pytest.mark.parametrize("place", PLACES_FOR_JSON)
def test_what_is_nested_so_deep_that_it_could_not_be_written_is_refused(
    place: Callable[[Any], dict[str, Any]],
) -> None:
    writable(ask(**place(nested(230))))

    for levels in (245, 260, 900):
        assert (
            "levels deep"
            in refusal({"model": "m", "input": "Hi.", **place(nested(levels))}).message
        )


@pytest.mark.parametrize("place", PLACES_FOR_JSON)
def test_whatever_depth_is_accepted_can_be_written(
    place: Callable[[Any], dict[str, Any]],
) -> None:
    for levels in range(228, 250):
        try:
            request = ask(**place(nested(levels)))
        except InvalidRequest:
            return
        writable(request)
    pytest.fail("nothing was too deep")


def writable(request: CreateRequest) -> None:
    response = response_body(request, id="resp_" + "0" * 32, created_at=1, model="m")
    items = stored_items(request.items, "resp_" + "0" * 32)
    turn = turn_from(request, [Span(items)], "m")
    orjson.dumps([{"type": "response.created", "response": response}, items, list(turn.tools)])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "id", "call_id", "name", "tools", "output", "x"]
            ),
            inner
            | st.sampled_from(
                [
                    "message",
                    "function_call",
                    "function_call_output",
                    "reasoning",
                    "input_text",
                    "user",
                ]
            ),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(CreateRequest.model_fields)), JSON, max_size=6),
    st.booleans(),
)
def test_any_json_is_accepted_or_refused(body: dict[str, Any], complete: bool) -> None:
    if complete:
        body = {"model": "m", "input": "Hi.", **body}
    try:
        request = CreateRequest.parse(json.dumps(body).encode())
    except InvalidRequest as error:
        orjson.dumps(error.envelope())
    else:
        writable(request)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_accepted_or_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        CreateRequest.parse(body)


# --- what is taken


def test_every_parameter_of_the_official_client_is_known() -> None:
    hints = ResponseCreateParamsNonStreaming.__annotations__
    named = set(hints) | ResponseCreateParamsNonStreaming.__optional_keys__

    assert named <= set(CreateRequest.model_fields)


def test_every_tool_of_the_official_client_is_known() -> None:
    known = {
        kind for tool in get_args(ToolParam) for kind in get_args(get_type_hints(tool)["type"])
    }

    assert len(known) >= 18
    assert known == set(tool_schema.SHAPES)


@pytest.mark.parametrize("name", sorted(CreateRequest.model_fields.keys() - {"model", "input"}))
def test_null_means_not_set(name: str) -> None:
    assert ask(**{name: None}) == ask()


VALID: list[dict[str, Any]] = [
    {"background": False, "truncation": "disabled", "stream": True},
    {"stream_options": {"include_obfuscation": True}},
    {"background_options": {"completion_window": "2h"}},
    {"client_metadata": {"session_id": "01a2", "x-codex-turn-metadata": '{"sandbox":"none"}'}},
    {"temperature": 0, "top_p": 1, "presence_penalty": -2, "frequency_penalty": 2},
    {"max_output_tokens": 16, "max_tool_calls": 1, "top_logprobs": 20},
    {"metadata": {f"k{n}": "v" * 512 for n in range(16)}},
    {"metadata": {"k" * 64: ""}},
    {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
    {"prompt_cache_options": {"mode": "explicit", "prewarm": False}},
    {"reasoning": {"effort": None, "summary": "auto", "context": "auto", "mode": "pro"}},
    {"text": {"format": None, "verbosity": None}},
    {"tools": [WEATHER], "tool_choice": "required"},
    {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "get_weather"}},
    {
        "tools": [{"type": "custom", "name": "run"}],
        "tool_choice": {"type": "custom", "name": "run"},
    },
    {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
    {"tools": [{"type": "computer"}], "tool_choice": {"type": "computer_use"}},
    {
        "tools": [{"type": "mcp", "server_label": "s", "server_url": "https://x"}],
        "tool_choice": {"type": "mcp", "server_label": "s", "name": "t"},
    },
    {
        "tools": [{"type": "namespace", "name": "n", "description": "d", "tools": [TIME]}],
        "tool_choice": {"type": "function", "name": "get_time"},
    },
]


@pytest.mark.parametrize("parameters", VALID, ids=lambda v: str(v)[:50])
def test_valid_parameters_are_taken(parameters: dict[str, Any]) -> None:
    writable(ask(**parameters))


def test_what_is_not_built_yet_is_refused_by_name() -> None:
    for name, refused in later.PARAMETERS.items():
        value: Any = {"id": "x"} if refused is later.ANY else refused
        outer, _, inner = name.partition(".")
        error = refusal({"model": "m", "input": "Hi.", outer: {inner: value} if inner else value})
        assert (error.param, error.code) == (name, UNSUPPORTED)


def test_the_body_is_not_changed() -> None:
    body = {
        "model": "m",
        "input": [{"role": "user", "content": "Hi.", "phase": None}],
        "tools": [WEATHER],
        "tool_choice": {"type": "allowed_tools", "tools": [WEATHER]},
    }
    before = json.dumps(body)

    writable(CreateRequest.of(body))

    assert json.dumps(body) == before


TOO_SHORT = ("max_output_tokens", VALUE)
OPENROUTERS_OWN = ("provider", UNKNOWN)


@needs_recordings
def test_what_real_clients_sent_is_taken() -> None:
    """Other servers take less than 16 tokens, and parameters of their own."""
    assert SHARED is not None
    taken = 0
    for path in sorted((SHARED / "recordings").glob("*/*.request.json")):
        meta = json.loads(path.with_name(path.name.replace(".request.", ".meta.")).read_bytes())
        if not str(meta.get("url", "")).endswith("/responses"):
            continue
        try:
            writable(CreateRequest.parse(path.read_bytes()))
        except InvalidRequest as error:
            named = (error.param, error.code)
            assert named in (TOO_SHORT, OPENROUTERS_OWN) or named[1] == UNSUPPORTED, path.name
        else:
            taken += 1
    assert taken > 80


# --- the turn


def test_a_turn_says_everything_that_was_asked() -> None:
    request = ask(
        instructions="Be brief.",
        tools=[WEATHER, TIME],
        tool_choice={"type": "allowed_tools", "tools": [{"type": "function", "name": "get_time"}]},
        parallel_tool_calls=False,
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.25,
        presence_penalty=1,
        frequency_penalty=-1,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=3,
        text={
            "format": {"type": "json_schema", "name": "p", "schema": SCHEMA},
            "verbosity": "low",
        },
        reasoning={"effort": "high", "generate_summary": "detailed"},
        service_tier="flex",
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        metadata={"a": "b"},
        stream=True,
    )
    spans = [Span(stored_items(request.items, "resp_" + "0" * 32))]

    turn = turn_from(request, spans, "upstream-model")

    assert turn.model == "upstream-model"
    assert turn.spans is spans
    assert turn.instructions == "Be brief."
    assert list(turn.offered_tools) == [TIME]
    assert (turn.choice, turn.forced_tool) == ("auto", None)
    assert turn.parallel_tool_calls is False
    assert turn.max_output_tokens == 100
    assert (turn.temperature, turn.top_p) == (0.5, 0.25)
    assert (turn.presence_penalty, turn.frequency_penalty) == (1, -1)
    assert (turn.logprobs, turn.top_logprobs) == (True, 3)
    assert turn.text_format == {
        "type": "json_schema",
        "name": "p",
        "schema": SCHEMA,
        "strict": False,
        "description": None,
    }
    assert turn.verbosity == "low"
    assert (turn.reasoning_effort, turn.reasoning_summary) == ("high", "detailed")
    assert (turn.service_tier, turn.user, turn.prompt_cache_key) == ("flex", "s", "k")
    assert turn.metadata == {"a": "b"}
    assert turn.stream is True
    assert turn.encrypted_reasoning is True


def test_a_turn_leaves_unset_what_was_not_asked() -> None:
    turn = turn_from(ask(), [], "m")

    assert (turn.tools, turn.choice, turn.parallel_tool_calls) == ([], "auto", True)
    assert turn.text_format is None
    for name in ("instructions", "max_output_tokens", "temperature", "top_p", "user", "verbosity"):
        assert getattr(turn, name) is None
    assert (turn.logprobs, turn.stream, turn.encrypted_reasoning) == (False, False, False)


def test_a_forced_function_reaches_the_turn() -> None:
    request = ask(tools=[WEATHER, TIME], tool_choice={"type": "function", "name": "get_time"})

    turn = turn_from(request, [], "m")

    assert (turn.choice, turn.forced_tool) == ("required", "get_time")
