"""Thinking, tools and answer formats: what each model family is told of them."""

from typing import Any

import pytest
from messages_turns import call, encoded, function, message, output, tool_use

from responses_mw.adapters.anthropic_answers import JSON_ONLY, constrained, is_expressible
from responses_mw.adapters.anthropic_encode import BINDING_BETA
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Span

# --- thinking


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "level", "dropped"),
    [
        ("claude-3-5-haiku-20241022", "high", None, None, ("reasoning.effort",)),
        ("claude-3-5-haiku-20241022", "none", None, None, ()),
        ("claude-sonnet-4-5", None, None, None, ()),
        ("claude-sonnet-4-5", "none", None, None, ()),
        ("claude-sonnet-4-5", "minimal", ("enabled", 1024), None, ()),
        ("claude-sonnet-4-5", "high", ("enabled", 16_384), None, ()),
        ("claude-sonnet-4-5", "max", ("enabled", 32_000), None, ()),
        ("claude-opus-4-6", None, None, None, ()),
        ("claude-opus-4-6", "none", ("disabled", None), None, ()),
        ("claude-opus-4-6", "minimal", ("adaptive", None), "low", ()),
        ("claude-opus-4-6", "xhigh", ("adaptive", None), "max", ()),
        ("claude-opus-4-7", "xhigh", ("adaptive", None), "xhigh", ()),
        ("claude-opus-5", "none", ("disabled", None), None, ()),
        ("claude-fable-5", "none", ("adaptive", None), "low", ("reasoning.effort",)),
        ("claude-opus-5-5", "none", ("adaptive", None), "low", ("reasoning.effort",)),
        ("claude-sonnet-5-5", "none", ("between_tools", None), None, ()),
        ("claude-haiku-5-5", "medium", ("adaptive", None), "medium", ()),
        ("smollm2", "low", None, None, ("reasoning.effort",)),
    ],
)
def test_effort_follows_the_model(
    model: str, effort: Any, thinking: Any, level: Any, dropped: Any
) -> None:
    request = encoded(model=model, reasoning_effort=effort)

    sent = request.body.get("thinking")
    assert (sent and (sent["type"], sent.get("budget_tokens"))) == thinking
    assert request.body.get("output_config", {}).get("effort") == level
    assert request.dropped == dropped


def test_summary_is_asked_for_where_thinking_is_adaptive() -> None:
    body = encoded(model="claude-opus-4-7", reasoning_summary="auto").body

    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}


def test_summary_is_named_where_nothing_is_thought() -> None:
    request = encoded(model="claude-3-5-haiku-20241022", reasoning_summary="auto")
    assert request.dropped == ("reasoning.summary",)


def test_budget_leaves_half_of_a_small_limit_for_the_answer() -> None:
    body = encoded(reasoning_effort="high", max_output_tokens=4000).body

    assert body["thinking"]["budget_tokens"] == 2000


@pytest.mark.parametrize(
    "options",
    [
        {"max_output_tokens": 1024},
        {"tools": [function()], "tool_choice": "required"},
        {"tools": [function()], "tool_choice": {"type": "function", "name": "look"}},
    ],
)
def test_budget_thinking_that_is_impossible_is_named(options: Any) -> None:
    request = encoded(reasoning_effort="high", **options)

    assert "thinking" not in request.body
    assert request.dropped == ("reasoning.effort",)


def test_budget_thinking_pauses_while_another_models_calls_are_answered() -> None:
    loop = [message("user", "go"), call("a"), output("a")]

    assert encoded(*loop, reasoning_effort="high").dropped == ("reasoning.effort",)
    assert encoded(*loop, message("assistant", "ok"), message("user", "more"),
                   reasoning_effort="high").dropped == ()  # fmt: skip


def test_thinking_excludes_a_temperature() -> None:
    request = encoded(reasoning_effort="high", temperature=0.5)

    assert "temperature" not in request.body
    assert request.dropped == ("temperature",)


def test_bound_thinking_is_dropped_by_the_api_where_the_prefix_changed() -> None:
    request = encoded(model="claude-opus-5-5")

    assert request.body["thinking"] == {
        "type": "adaptive",
        "block_binding": {"prefix_mismatch_behavior": "drop_block"},
    }
    assert request.headers["anthropic-beta"] == BINDING_BETA


def test_bound_thinking_is_left_out_where_the_api_cannot_be_asked_to() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    scope = "anthropic:claude-sonnet-5-5"
    span = Span([call("a")], NativeTurn(scope, [thinking, tool_use("a")]))
    loop = [message("user", "go"), span, output("a")]

    kept, left_out = (
        encoded(*loop, model="claude-sonnet-5-5", reasoning_effort=effort).body["messages"][1]
        for effort in ("low", "none")
    )

    assert kept["content"] == [thinking, tool_use("a")]
    assert left_out["content"] == [tool_use("a")]


# --- tools


def test_tools_and_their_choice() -> None:
    tools = [function(description="Looks."), function("go", parameters=None)]
    body = encoded(tools=tools).body

    assert body["tools"] == [
        {
            "name": "look",
            "description": "Looks.",
            "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}},
        },
        {"name": "go", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ("required", True, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ({"type": "function", "name": "look"}, True, {"type": "tool", "name": "look"}),
    ],
)
def test_tool_choice(choice: Any, parallel: bool, sent: Any) -> None:
    body = encoded(tools=[function()], tool_choice=choice, parallel_tool_calls=parallel).body

    assert body["tool_choice"] == sent


def test_only_allowed_tools_are_offered() -> None:
    allowed = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "go"}],
    }

    body = encoded(tools=[function(), function("go")], tool_choice=allowed).body

    assert [tool["name"] for tool in body["tools"]] == ["go"]
    assert body["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-fable-5-1", "claude-mythos-5"])
def test_model_that_cannot_be_forced_is_offered_the_demanded_tool_alone(model: str) -> None:
    request = encoded(
        model=model,
        tools=[function(), function("go")],
        tool_choice={"type": "function", "name": "go"},
    )

    assert [tool["name"] for tool in request.body["tools"]] == ["go"]
    assert "tool_choice" not in request.body
    assert request.dropped == ("tool_choice",)


def test_tool_that_is_no_function_is_refused_by_its_place() -> None:
    with pytest.raises(UnsupportedByProvider) as refused:
        encoded(tools=[function(), {"type": "image_generation"}])
    assert refused.value.param == "tools[1]"


def test_strict_tools_need_a_model_and_a_schema_that_can() -> None:
    closed = {
        "type": "object",
        "properties": {"at": {"type": "string"}},
        "required": ["at"],
        "additionalProperties": False,
    }
    strict = function(parameters=closed, strict=True)

    assert encoded(tools=[strict]).body["tools"][0]["strict"] is True
    assert encoded(tools=[strict], model="claude-sonnet-4-0").dropped == ("tools[0].strict",)
    assert encoded(tools=[function(strict=True)]).dropped == ("tools[0].strict",)


# --- answer formats


CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer", "minimum": 1}},
    "required": ["name", "people"],
    "additionalProperties": False,
}


def json_schema(schema: Any = CITY) -> dict[str, Any]:
    return {"type": "json_schema", "name": "city", "schema": schema, "description": "A city."}


def test_schema_is_sent_natively_with_what_it_lacks_in_words() -> None:
    request = encoded(text_format=json_schema())

    sent = request.body["output_config"]["format"]
    assert sent["type"] == "json_schema"
    assert sent["schema"]["properties"]["people"] == {
        "type": "integer",
        "description": "(minimum: 1)",
    }
    assert request.dropped == ("text.format.schema.minimum",)


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        ("claude-sonnet-4-0", CITY),
        ("claude-sonnet-4-5", {"type": "object"}),
        ("claude-sonnet-4-5", {"type": "object", "additionalProperties": {"type": "string"}}),
        (
            "claude-sonnet-4-5",
            {"type": "object", "properties": {"next": {"$ref": "#"}}},
        ),
        ("smollm2", CITY),
    ],
)
def test_schema_that_cannot_be_sent_natively_becomes_a_forced_tool(model: str, schema: Any) -> None:
    body = encoded(model=model, text_format=json_schema(schema)).body

    (tool,) = body["tools"]
    assert tool["name"] == "city"
    assert tool["input_schema"] == {"type": "object", **schema}
    assert body["tool_choice"] == {
        "type": "tool",
        "name": "city",
        "disable_parallel_tool_use": True,
    }


def test_answer_tool_stands_beside_the_clients_tools_under_a_name_of_its_own() -> None:
    body = encoded(
        model="claude-sonnet-4-0", text_format=json_schema(), tools=[function("city")]
    ).body

    assert [tool["name"] for tool in body["tools"]] == ["city", "city_answer"]
    assert body["tool_choice"] == {"type": "any"}


def test_answer_format_beside_a_demanded_call_is_named() -> None:
    request = encoded(
        model="claude-sonnet-4-0",
        text_format=json_schema(),
        tools=[function()],
        tool_choice="required",
    )

    assert [tool["name"] for tool in request.body["tools"]] == ["look"]
    assert request.dropped == ("text.format",)


def test_answer_that_is_no_object_is_refused() -> None:
    with pytest.raises(UnsupportedByProvider) as refused:
        encoded(text_format=json_schema({"type": "array", "items": {"type": "string"}}))
    assert refused.value.param == "text.format.schema"


def test_json_object_is_asked_for_in_words() -> None:
    body = encoded(text_format={"type": "json_object"}, instructions="Be brief.").body

    assert [block["text"] for block in body["system"]] == ["Be brief.", JSON_ONLY]


def test_nested_schemas_are_closed_and_alternatives_kept() -> None:
    schema = {
        "type": "object",
        "properties": {
            "place": {"oneOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
            "when": {"type": "array", "minItems": 1, "maxItems": 3,
                     "items": {"type": "string", "format": "date", "pattern": "x"}},
        },
        "$defs": {"place": {"type": "object", "properties": {"x": {"type": ["number", "null"]}}}},
    }  # fmt: skip

    assert is_expressible(schema)
    closed, moved = constrained(schema)

    assert sorted(moved) == ["maxItems", "pattern"]
    assert closed["additionalProperties"] is False
    assert closed["$defs"]["place"]["additionalProperties"] is False
    assert closed["properties"]["place"] == {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]}
    when = closed["properties"]["when"]
    assert (when["minItems"], when["description"]) == (1, "(maxItems: 3)")
    assert when["items"]["format"] == "date"


def test_schemas_that_refer_to_themselves_in_a_circle_are_not_expressible() -> None:
    def node(to: str) -> dict[str, Any]:
        return {"type": "object", "properties": {"next": {"$ref": f"#/$defs/{to}"}}}

    circle = {"a": node("b"), "b": node("a")}

    assert not is_expressible({**node("a"), "$defs": circle})
    assert is_expressible({**node("a"), "$defs": {"a": CITY}})
