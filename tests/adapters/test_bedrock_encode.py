"""Where a Converse request goes, and what it says of tools, formats and caching."""

import json
from typing import Any

import pytest
from bedrock_requests import (
    FORCED,
    FORMAT,
    LOOP,
    NEW_CLAUDE,
    OLD_CLAUDE,
    POINT,
    SCHEMA,
)
from bedrock_turns import (
    CLAUDE,
    LLAMA,
    MISTRAL,
    NOVA,
    NOVA_2,
    body,
    call,
    encoded,
    file,
    function,
    message,
    output,
    turn,
    use,
)

from responses_mw.adapters.base import Counts
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_encode import NO_CALLS
from responses_mw.adapters.bedrock_models import FamilyRules
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider, UpstreamProtocolError
from responses_mw.turn import Item, Span

# --- where it goes


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("amazon.nova-pro-v1:0", "/model/amazon.nova-pro-v1%3A0/converse"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/a.b",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fa.b/converse",
        ),
    ],
)
def test_model_is_one_segment_of_the_path(model: str, path: str) -> None:
    assert encoded(model=model).path == path
    assert encoded(model=model, stream=True).path == path + "-stream"
    assert "model" not in body(model=model)


def test_extra_headers_and_fields_go_along() -> None:
    request = encoded(extra_headers={"X-A": "1"}, extra_body={"promptVariables": {}})
    assert request.headers == {"x-a": "1"}
    assert request.body["promptVariables"] == {}


def test_extra_fields_join_those_of_the_model() -> None:
    extra = {"additionalModelRequestFields": {"top_k": 5}, "inferenceConfig": {"topP": 0.5}}
    said = body(model=NEW_CLAUDE, reasoning_effort="none", extra_body=extra)
    assert said["additionalModelRequestFields"] == {"thinking": {"type": "disabled"}, "top_k": 5}
    assert said["inferenceConfig"] == {"topP": 0.5}


# --- tools


def test_functions_become_tool_specs() -> None:
    tools = [function(description="Looks."), function("go", parameters=None)]
    assert body(tools=tools)["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "look",
                    "description": "Looks.",
                    "inputSchema": {
                        "json": {"type": "object", "properties": {"at": {"type": "string"}}}
                    },
                }
            },
            {
                "toolSpec": {
                    "name": "go",
                    "inputSchema": {"json": {"type": "object", "properties": {}}},
                }
            },
        ]
    }


def test_strict_is_said_where_the_schema_can_be_enforced() -> None:
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    tools = [function(strict=True, parameters=closed), function("go", strict=True)]
    request = encoded(tools=tools)
    specs = [tool["toolSpec"] for tool in request.body["toolConfig"]["tools"]]
    assert [spec.get("strict") for spec in specs] == [True, None]
    assert request.dropped == ("tools[1].strict",)
    assert encoded(tools=tools, model=NOVA).dropped == ("tools[0].strict", "tools[1].strict")


@pytest.mark.parametrize(
    ("model", "choice", "expected", "dropped"),
    [
        (CLAUDE, "auto", None, ()),
        (CLAUDE, "required", {"any": {}}, ()),
        (CLAUDE, FORCED, {"tool": {"name": "look"}}, ()),
        (NOVA, FORCED, {"tool": {"name": "look"}}, ()),
        (MISTRAL, FORCED, {"any": {}}, ()),
        (LLAMA, "required", None, ("tool_choice",)),
        ("us.anthropic.claude-fable-5-1", FORCED, None, ("tool_choice",)),
    ],
)
def test_choice_is_said_as_far_as_the_family_takes_it(
    model: str, choice: Any, expected: Any, dropped: tuple[str, ...]
) -> None:
    tools = [function(), function("go")]
    request = encoded(tools=tools, tool_choice=choice, model=model)
    config = request.body["toolConfig"]
    assert config.get("toolChoice") == expected
    assert request.dropped == dropped
    names = [tool["toolSpec"]["name"] for tool in config["tools"]]
    only_one = choice == FORCED and expected != {"tool": {"name": "look"}}
    assert names == (["look"] if only_one else ["look", "go"])


def test_no_call_is_a_request_without_tools() -> None:
    request = encoded(tools=[function()], tool_choice="none")
    assert "toolConfig" not in request.body
    assert request.dropped == ()


def test_no_call_after_calls_keeps_the_tools_and_says_so_in_words() -> None:
    request = encoded(*LOOP, tools=[function()], tool_choice="none")
    assert [t["toolSpec"]["name"] for t in request.body["toolConfig"]["tools"]] == ["look"]
    assert request.body["system"] == [{"text": NO_CALLS}]
    assert request.dropped == ("tool_choice",)
    with pytest.raises(UnsupportedByProvider):
        encoded(*LOOP, tools=[function()], tool_choice="none", strict=True)


def test_tools_of_the_history_are_there_although_none_are_offered() -> None:
    native = NativeTurn("bedrock:claude-sonnet-4-5", [use("t_1", "find")])
    items = [*LOOP, Span([call("t_1", name="find")], native), output("t_1")]
    request = encoded(*items)
    tools = request.body["toolConfig"]["tools"]
    assert [tool["toolSpec"]["name"] for tool in tools] == ["look", "find"]
    assert request.body["system"] == [{"text": NO_CALLS}]
    assert request.dropped == ()


def test_allowed_tools_are_the_only_ones_offered() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [FORCED]}
    config = body(tools=[function(), function("go")], tool_choice=allowed)["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["look"]
    assert config["toolChoice"] == {"any": {}}


def test_one_call_at_a_time_is_asked_for_where_it_can_be() -> None:
    options: dict[str, Any] = {"tools": [function()], "parallel_tool_calls": False}
    request = encoded(**options)
    assert request.body["additionalModelRequestFields"] == {
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}
    }
    assert request.dropped == ()
    for model, choice in ((OLD_CLAUDE, "auto"), (NOVA, "auto"), (CLAUDE, "required")):
        other = encoded(model=model, tool_choice=choice, **options)
        assert "additionalModelRequestFields" not in other.body
        assert other.dropped == ("parallel_tool_calls",)
    assert encoded(parallel_tool_calls=False).dropped == ()


def test_hosted_tools_are_novas_own() -> None:
    tools = [
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {"type": "web_search_preview", "user_location": None, "filters": {"allowed_domains": []}},
    ]
    request = encoded(tools=tools, model=NOVA_2)
    assert request.body["toolConfig"]["tools"] == [
        {"systemTool": {"name": "nova_code_interpreter"}},
        {"systemTool": {"name": "nova_grounding"}},
    ]
    assert request.dropped == ("tools[1].filters",)
    own = [{"type": "code_interpreter", "container": "cntr_1"}]
    assert encoded(tools=own, model=NOVA_2).dropped == ("tools[0].container",)


def test_tools_that_nobody_runs_are_refused_by_their_place() -> None:
    tools = [function(), {"type": "code_interpreter", "container": {"type": "auto"}}]
    with pytest.raises(UnsupportedByProvider, match="offer functions") as caught:
        encoded(tools=tools)
    assert caught.value.param == "tools[1]"


# --- the answer's format


def test_a_schema_is_enforced_by_claude_and_said_as_a_string() -> None:
    wanted = body(text_format=FORMAT)["outputConfig"]["textFormat"]
    assert wanted["type"] == "json_schema"
    said = wanted["structure"]["jsonSchema"]
    assert (said["name"], said["description"]) == ("person", "Who.")
    assert json.loads(said["schema"]) == SCHEMA


def test_a_schema_is_a_forced_tool_elsewhere() -> None:
    request = encoded(text_format=FORMAT, model=NOVA)
    config = request.body["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["person"]
    assert config["toolChoice"] == {"tool": {"name": "person"}}
    beside = encoded(text_format=FORMAT, model=NOVA, tools=[function()]).body["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in beside["tools"]] == ["look", "person"]
    assert beside["toolChoice"] == {"any": {}}


def test_a_schema_that_cannot_be_demanded_is_named() -> None:
    assert encoded(text_format=FORMAT, model=LLAMA).dropped == ("text.format",)


def test_any_object_is_asked_for_in_words() -> None:
    (said,) = body(text_format={"type": "json_object"})["system"]
    assert "JSON" in said["text"]


# --- caching


def marked(*items: Item, model: str = CLAUDE, cache: Any = "5m", **options: Any) -> Any:
    adapter = BedrockConverse(cache=cache)
    return adapter.encode(turn(*items, model=model, instructions="Be brief.", **options)).body


def points(blocks: list[dict[str, Any]]) -> list[int]:
    return [n for n, block in enumerate(blocks) if "cachePoint" in block]


def test_cache_points_stand_where_a_growing_chain_finds_them() -> None:
    chain = [message("user", "a"), message("assistant", "b"), message("user", "c")]
    first, then = (marked(*chain[:n], tools=[function()]) for n in (1, 3))
    for said in (first, then):
        assert said["toolConfig"]["tools"][-1] == said["system"][-1] == POINT
    assert first["messages"][0]["content"] == [{"text": "a"}, POINT]
    assert then["messages"][0] == first["messages"][0]
    assert then["messages"][1]["content"] == [{"text": "b"}]
    assert then["messages"][2]["content"] == [{"text": "c"}, POINT]


def test_no_more_than_four_cache_points() -> None:
    chain = [message(role, str(n)) for n, role in enumerate(["user", "assistant"] * 5 + ["user"])]
    said = json.dumps(marked(*chain, tools=[function()]))
    assert said.count("cachePoint") == 4


def test_an_hour_is_asked_of_those_who_know_it() -> None:
    assert marked(cache="1h")["system"][-1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert marked(cache="1h", model=OLD_CLAUDE)["system"][-1] == POINT


def test_nova_takes_cache_points_behind_text_and_not_among_its_tools() -> None:
    video = file(file_data="data:video/mp4;base64,AAAA")
    said = marked(message("user", "See", video), model=NOVA, tools=[function()])
    assert points(said["toolConfig"]["tools"]) == []
    assert points(said["system"]) == [1]
    assert points(said["messages"][0]["content"]) == [1]
    loop = marked(*LOOP, message("user", "and?"), model=NOVA, tools=[function()])
    assert points(loop["messages"][-1]["content"]) == []
    newer = marked(message("user", "Hi"), model=NOVA_2)
    assert points(newer["system"]) == [1]
    assert points(newer["messages"][0]["content"]) == []


def test_a_cache_point_does_not_follow_a_document_that_is_no_pdf() -> None:
    pdf, text = (file(filename=f"a.{kind}", file_data="JVBERi0=") for kind in ("pdf", "csv"))
    text["file_data"] = "YSxi"
    content = marked(message("user", "See", pdf, text))["messages"][0]["content"]
    assert points(content) == [2]
    assert points(marked(message("user", "See", pdf))["messages"][0]["content"]) == [2]
    assert points(marked(message("user", text, "See"))["messages"][0]["content"]) == []


@pytest.mark.parametrize("model", [LLAMA, "anthropic.claude-3-haiku-20240307-v1:0", "own-model"])
def test_models_without_a_cache_get_no_cache_points(model: str) -> None:
    assert "cachePoint" not in json.dumps(marked(model=model, tools=[function()]))


# --- rules and counting


def test_rules_go_by_the_base_model_or_are_given() -> None:
    profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
    named = BedrockConverse(base_model=CLAUDE).encode(turn(model=profile))
    assert named.path.startswith("/model/arn%3Aaws")
    assert points(named.body["messages"][0]["content"]) == [1]
    given = BedrockConverse(rules=FamilyRules(system=False))
    assert "system" not in given.encode(turn(instructions="Be brief.")).body


def test_tokens_are_counted_of_what_would_be_sent() -> None:
    adapter = BedrockConverse()
    assert isinstance(adapter, Counts)
    request = adapter.count(turn(instructions="Be brief.", tools=[function()], temperature=0.1))
    assert request.path.endswith("/count-tokens")
    counted = request.body["input"]["converse"]
    assert counted.keys() == {"messages", "system", "toolConfig"}
    assert "cachePoint" not in json.dumps(counted)
    assert adapter.counted(b'{"inputTokens": 12}') == 12
    for wrong in (b"{}", b"[]", b'{"inputTokens": "many"}'):
        with pytest.raises(UpstreamProtocolError, match="said no inputTokens"):
            adapter.counted(wrong)
