"""Turns as chat completions requests: tools and parameters, in every dialect."""

import pytest
from chat_turns import (
    DEEPSEEK,
    EVERYTHING,
    GENERIC,
    MISTRAL,
    OPENAI,
    OTHER,
    SCHEMA,
    TOOL,
    body,
    message,
    turn,
)

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import DIALECTS
from responses_mw.errors import UnsupportedByProvider

# --- tools


def test_functions_are_offered_nested():
    assert body(OPENAI, tools=[TOOL, OTHER])["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks.",
                "parameters": TOOL["parameters"],
                "strict": True,
            },
        },
        {
            "type": "function",
            "function": {"name": "find", "parameters": {"type": "object", "properties": {}}},
        },
    ]


def test_a_tool_nobody_here_can_run_is_refused_by_its_place():
    with pytest.raises(UnsupportedByProvider, match="web_search") as caught:
        OPENAI.encode(turn(tools=[TOOL, {"type": "web_search"}]))
    assert caught.value.param == "tools[1]"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "find"}, {"type": "function", "function": {"name": "find"}}),
    ],
)
def test_tool_choices_are_sent_in_chats_form(choice, sent):
    assert body(OPENAI, tools=[TOOL, OTHER], tool_choice=choice).get("tool_choice") == sent


def test_required_has_another_word_at_mistral():
    assert body(MISTRAL, tools=[TOOL], tool_choice="required")["tool_choice"] == "any"


@pytest.mark.parametrize(("mode", "sent"), [("auto", None), ("required", "required")])
def test_only_allowed_tools_are_offered(mode, sent):
    allowed = {
        "type": "allowed_tools",
        "mode": mode,
        "tools": [{"type": "function", "name": "find"}],
    }
    found = body(OPENAI, tools=[TOOL, OTHER], tool_choice=allowed)
    assert [tool["function"]["name"] for tool in found["tools"]] == ["find"]
    assert found.get("tool_choice") == sent


def test_a_choice_of_something_other_than_a_function_is_refused():
    with pytest.raises(UnsupportedByProvider, match="mcp") as caught:
        OPENAI.encode(turn(tools=[TOOL], tool_choice={"type": "mcp", "server_label": "x"}))
    assert caught.value.param == "tool_choice"


def test_without_tools_nothing_is_said_about_them():
    found = body(OPENAI, tool_choice="none", parallel_tool_calls=False)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & found.keys()


def test_where_choices_are_not_understood_the_offer_makes_them():
    adapter = ChatCompletions(dialects.OLLAMA)
    assert "tools" not in body(adapter, tools=[OTHER], tool_choice="none")
    forced = adapter.encode(
        turn(tools=[OTHER, {**OTHER, "name": "b"}], tool_choice={"type": "function", "name": "b"})
    )
    assert [tool["function"]["name"] for tool in forced.body["tools"]] == ["b"]
    assert forced.dropped == ("tool_choice",)


def test_where_none_can_be_named_the_demanded_function_is_the_only_one():
    forced = ChatCompletions(dialects.LMSTUDIO).encode(
        turn(tools=[OTHER, {**OTHER, "name": "b"}], tool_choice={"type": "function", "name": "b"})
    )
    assert [tool["function"]["name"] for tool in forced.body["tools"]] == ["b"]
    assert forced.body["tool_choice"] == "required"
    assert forced.dropped == ()


@pytest.mark.parametrize(
    ("dialect", "allowed", "sent", "dropped"),
    [
        ("openai", True, None, ()),
        ("openai", False, False, ()),
        ("llamacpp", True, True, ()),
        ("llamacpp", False, False, ()),
        ("zai", True, None, ()),
        ("zai", False, None, ("parallel_tool_calls",)),
    ],
)
def test_parallel_calls_are_switched_where_there_is_a_switch(dialect, allowed, sent, dropped):
    request = ChatCompletions(DIALECTS[dialect]).encode(
        turn(tools=[OTHER], parallel_tool_calls=allowed)
    )
    assert request.body.get("parallel_tool_calls") is sent
    assert request.dropped == dropped


# --- parameters


def test_openai_is_told_everything():
    request = OPENAI.encode(turn(message("user", "Hi"), **EVERYTHING, stream=True))
    assert request.dropped == ()
    assert request.path == "/chat/completions"
    found = request.body
    expected = {
        "model": "m",
        "max_completion_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 3,
        "verbosity": "low",
        "reasoning_effort": "low",
        "service_tier": "flex",
        "safety_identifier": "u1",
        "prompt_cache_key": "k1",
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert {key: found[key] for key in expected} == expected
    assert found.keys() == {*expected, "messages", "tools", "response_format"}


def test_what_is_not_set_is_not_sent():
    assert body(OPENAI, message("user", "Hi")).keys() == {"model", "messages"}


def test_what_a_dialect_has_no_parameter_for_is_named():
    request = ChatCompletions(dialects.ZAI).encode(turn(**EVERYTHING))
    assert set(request.dropped) == {
        "presence_penalty",
        "frequency_penalty",
        "top_logprobs",
        "tools[0].strict",
        "parallel_tool_calls",
        "text.verbosity",
        "text.format.strict",
        "service_tier",
        "user",
        "prompt_cache_key",
    }


def test_hints_are_named_too_and_stop_no_strict_turn():
    hints = {"user": "u", "prompt_cache_key": "k"}
    request = GENERIC.encode(turn(**hints, strict=True))
    assert request.dropped == ("user", "prompt_cache_key")
    assert OPENAI.encode(turn(**hints, strict=True)).dropped == ()


def test_a_summary_is_dropped_where_reasoning_is_never_shown():
    assert OPENAI.encode(turn(reasoning_summary="auto")).dropped == ("reasoning.summary",)
    assert GENERIC.encode(turn(reasoning_summary="auto")).dropped == ()


def test_a_strict_turn_refuses_what_would_be_dropped():
    with pytest.raises(UnsupportedByProvider, match="service_tier") as caught:
        GENERIC.encode(turn(service_tier="flex", strict=True))
    assert caught.value.param == "service_tier"
    GENERIC.encode(turn(service_tier="auto", strict=True))


@pytest.mark.parametrize(
    ("dialect", "effort", "sent"),
    [
        ("openai", "high", {"reasoning_effort": "high"}),
        ("openrouter", "high", {"reasoning": {"effort": "high"}}),
        ("deepseek", "high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("deepseek", "none", {"thinking": {"type": "disabled"}}),
        ("zai", "high", {"thinking": {"type": "enabled"}}),
        ("llamacpp", "high", {}),
        ("lmstudio", "none", {"reasoning_effort": "none"}),
        ("lmstudio", "minimal", {"reasoning_effort": "low"}),
        ("lmstudio", "max", {"reasoning_effort": "high"}),
        ("ollama", "xhigh", {"reasoning_effort": "high"}),
        ("cohere", "low", {"reasoning_effort": "high"}),
        ("cohere", "none", {"reasoning_effort": "none"}),
        ("xai", "max", {"reasoning_effort": "xhigh"}),
    ],
)
def test_effort_goes_where_the_dialect_has_it(dialect, effort, sent):
    request = ChatCompletions(DIALECTS[dialect]).encode(turn(reasoning_effort=effort))
    rest = {key: value for key, value in request.body.items() if key not in ("model", "messages")}
    assert rest == sent
    assert request.dropped == (() if sent else ("reasoning.effort",))


def test_json_mode_is_a_schema_where_only_schemas_are_known():
    found = body(ChatCompletions(dialects.LMSTUDIO), text_format={"type": "json_object"})
    assert found["response_format"]["type"] == "json_schema"
    assert found["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_defaults_that_a_dialect_has_no_parameter_for_are_left_out_in_silence():
    request = ChatCompletions(dialects.ZAI).encode(
        turn(verbosity="medium", presence_penalty=0, frequency_penalty=0.0, strict=True)
    )
    assert request.dropped == ()


def test_a_schema_is_sent_without_what_is_null():
    assert body(OPENAI, text_format=SCHEMA)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": SCHEMA["schema"], "strict": True},
    }
    wanted = {"type": "json_object"}
    assert body(OPENAI, text_format=wanted)["response_format"] == wanted
    assert "response_format" not in body(OPENAI, text_format={"type": "text"})


@pytest.mark.parametrize("instructions", [None, "Be brief."])
def test_where_schemas_are_unknown_the_model_is_told(instructions):
    request = DEEPSEEK.encode(
        turn(message("user", "Hi"), text_format=SCHEMA, instructions=instructions)
    )
    system, asked = request.body["messages"]
    assert request.body["response_format"] == {"type": "json_object"}
    assert '"additionalProperties": false' in system["content"]
    assert system["content"].startswith(instructions or "Answer")
    assert asked == {"role": "user", "content": "Hi"}
    assert request.dropped == ("text.format.strict",)


@pytest.mark.parametrize(
    ("tier", "dialect", "sent", "dropped"),
    [
        ("default", "groq", "on_demand", ()),
        ("flex", "groq", "flex", ()),
        ("default", "generic", None, ()),
        ("priority", "generic", None, ("service_tier",)),
    ],
)
def test_service_tiers_have_the_vendors_names(tier, dialect, sent, dropped):
    chosen = DIALECTS.get(dialect, dialects.GENERIC)
    request = ChatCompletions(chosen).encode(turn(service_tier=tier))
    assert request.body.get("service_tier") == sent
    assert request.dropped == dropped


def test_the_hosts_own_fields_win():
    request = OPENAI.encode(
        turn(
            temperature=0.1, extra_body={"temperature": 0.9, "seed": 7}, extra_headers={"x-a": "b"}
        )
    )
    assert request.body["temperature"] == 0.9
    assert request.body["seed"] == 7
    assert request.headers == {"x-a": "b"}


def test_more_than_one_answer_cannot_be_asked_for():
    with pytest.raises(UnsupportedByProvider) as caught:
        OPENAI.encode(turn(extra_body={"n": 2}))
    assert caught.value.param == "n"
