"""How a turn's options become fields of a generateContent request."""

from typing import Any

import pytest
from gemini_turns import GEMINI, NEW, OLD, VERTEX, encoded, function, turn

from responses_mw.adapters.base import Counts
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.gemini_models import UNKNOWN, ModelRules, rules_for
from responses_mw.errors import UnsupportedByProvider, UpstreamProtocolError

LOOK, GO = function(), function("go")
SEARCH = {"type": "web_search"}
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
WANTED = {"type": "json_schema", "name": "n", "schema": SCHEMA}


def allowed(mode: str, *tools: dict[str, Any]) -> dict[str, Any]:
    names = [{key: tool[key] for key in ("type", "name") if key in tool} for tool in tools]
    return {"type": "allowed_tools", "mode": mode, "tools": names}


# --- where


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3-pro", "/models/gemini-3-pro:generateContent"),
        ("tunedModels/a b", "/tunedModels/a%20b:generateContent"),
        ("models/gemini-3-pro", "/models/gemini-3-pro:generateContent"),
        ("x:y", "/models/x%3Ay:generateContent"),
    ],
)
def test_model_is_in_the_path(model: str, path: str) -> None:
    request = encoded(model=model)
    assert request.path == path
    assert "model" not in request.body


def test_stream_is_asked_for_by_the_path() -> None:
    assert encoded(stream=True).path == f"/models/{OLD}:streamGenerateContent?alt=sse"
    assert encoded(on=VERTEX).path == f"/publishers/google/models/{OLD}:generateContent"


# --- tools


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        ("auto", {}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "name": "go"}, {"mode": "ANY", "allowedFunctionNames": ["go"]}),
        (allowed("auto", GO), {"mode": "VALIDATED", "allowedFunctionNames": ["go"]}),
        (allowed("required", GO), {"mode": "ANY", "allowedFunctionNames": ["go"]}),
        (allowed("none", GO), {"mode": "NONE"}),
        (allowed("auto", LOOK, GO), {}),
    ],
    ids=str,
)
def test_tool_choice_is_a_mode_of_calling(choice: Any, calling: dict[str, Any]) -> None:
    """All tools are offered whatever the choice, so that the prompt stays as it was cached."""
    body = encoded(tools=[LOOK, GO], tool_choice=choice).body
    assert body.get("toolConfig", {}).get("functionCallingConfig", {}) == calling
    assert [f["name"] for f in body["tools"][0]["functionDeclarations"]] == ["look", "go"]


def test_strict_functions_are_validated() -> None:
    body = encoded(tools=[LOOK, function("go", strict=True)]).body
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_hosted_tools_are_google_s_own() -> None:
    container = {"type": "code_interpreter", "container": {"type": "auto"}}
    request = encoded(tools=[SEARCH, container])
    assert request.body["tools"] == [{"googleSearch": {}}, {"codeExecution": {}}]
    assert request.dropped == ()


def test_options_of_hosted_tools_are_left_out_visibly() -> None:
    search = {**SEARCH, "search_context_size": "high", "filters": {"allowed_domains": ["a.org"]}}
    assert encoded(tools=[search]).dropped == (
        "tools[0].search_context_size",
        "tools[0].filters",
    )


def test_functions_beside_hosted_tools_need_a_new_model() -> None:
    body = encoded(tools=[LOOK, SEARCH], model=NEW).body
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert "toolConfig" not in encoded(tools=[LOOK, SEARCH], model=NEW, on=VERTEX).body
    with pytest.raises(UnsupportedByProvider, match="not both") as refused:
        encoded(tools=[LOOK, SEARCH])
    assert refused.value.param == "tools"


def test_allowing_hosted_tools_alone_forbids_functions() -> None:
    body = encoded(tools=[LOOK, SEARCH], tool_choice=allowed("auto", SEARCH), model=NEW).body
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "NONE"}


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0]"),
        ({"tools": [LOOK, {"type": "mcp", "server_label": "x"}]}, "tools[1]"),
        ({"tools": [SEARCH], "tool_choice": SEARCH}, "tool_choice"),
        ({"extra_body": {"generationConfig": {"candidateCount": 2}}}, "candidateCount"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(options: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedByProvider) as refused:
        encoded(**options)
    assert refused.value.param == param


# --- the answer


@pytest.mark.parametrize("model", [OLD, NEW])
def test_schema_is_enforced(model: str) -> None:
    config = encoded(text_format={**WANTED, "description": "A place."}, model=model).body
    assert config["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"description": "A place.", **SCHEMA},
    }


def test_schema_beside_functions_is_enforced_by_new_models_and_asked_of_old_ones() -> None:
    new = encoded(text_format=WANTED, tools=[LOOK], model=NEW)
    assert new.body["generationConfig"]["responseJsonSchema"] == SCHEMA
    old = encoded(text_format=WANTED, tools=[LOOK])
    assert "generationConfig" not in old.body
    assert '"at"' in old.body["systemInstruction"]["parts"][0]["text"]
    assert old.dropped == ("text.format.schema",)


def test_functions_that_may_not_be_called_make_room_for_a_schema() -> None:
    body = encoded(text_format={"type": "json_object"}, tools=[LOOK], tool_choice="none").body
    assert body["generationConfig"] == {"responseMimeType": "application/json"}
    assert "tools" not in body


def test_sampling_is_sent() -> None:
    body = encoded(
        temperature=0.0, top_p=0.5, max_output_tokens=9, presence_penalty=1.0, top_logprobs=3
    ).body
    assert body["generationConfig"] == {
        "temperature": 0.0,
        "topP": 0.5,
        "maxOutputTokens": 9,
        "presencePenalty": 1.0,
        "responseLogprobs": True,
        "logprobs": 3,
    }


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "dropped"),
    [
        ("gemini-3-flash-preview", "medium", {"thinkingLevel": "medium"}, ()),
        ("gemini-3-flash-preview", "none", {"thinkingLevel": "minimal"}, ("reasoning.effort",)),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "high"}, ()),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "medium"}, ()),
        ("gemini-3.1-pro-preview", "minimal", {"thinkingLevel": "low"}, ()),
        ("gemini-flash-latest", "max", {"thinkingLevel": "high"}, ()),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, ()),
        ("gemini-2.5-flash", "high", {"thinkingBudget": 24_576}, ()),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 1024}, ("reasoning.effort",)),
        ("gemini-2.5-pro", "max", {"thinkingBudget": 32_768}, ()),
        ("gemini-2.0-flash", "high", None, ("reasoning.effort",)),
        ("gemini-2.0-flash", "none", None, ()),
        ("gemma-3-27b-it", "low", None, ("reasoning.effort",)),
    ],
)
def test_effort_is_a_level_or_a_budget(
    model: str, effort: str, thinking: Any, dropped: tuple[str, ...]
) -> None:
    request = encoded(model=model, reasoning_effort=effort)
    assert request.body.get("generationConfig", {}).get("thinkingConfig") == thinking
    assert request.dropped == dropped


def test_thoughts_are_shown_where_a_summary_is_wanted() -> None:
    shown = encoded(reasoning_summary="auto").body["generationConfig"]
    assert shown == {"thinkingConfig": {"includeThoughts": True}}
    off = encoded(reasoning_summary="auto", reasoning_effort="none").body["generationConfig"]
    assert off == {"thinkingConfig": {"thinkingBudget": 0}}
    assert encoded(reasoning_summary="auto", model="gemini-2.0-flash").dropped == (
        "reasoning.summary",
    )


# --- the rest


def test_what_has_no_field_is_left_out_visibly_or_refused() -> None:
    asked = {"verbosity": "high", "service_tier": "scale"}
    assert encoded(**asked).dropped == ("service_tier", "text.verbosity")
    with pytest.raises(UnsupportedByProvider) as refused:
        encoded(**asked, strict=True)
    assert refused.value.param == "service_tier"


@pytest.mark.parametrize(
    ("tier", "sent"), [(None, None), ("auto", None), ("default", "standard"), ("flex", "flex")]
)
def test_service_tier_has_google_s_name(tier: str | None, sent: str | None) -> None:
    assert encoded(service_tier=tier).body.get("serviceTier") == sent


def test_metadata_are_labels_on_vertex_where_they_have_the_form() -> None:
    given = {"team": "a-1", "Team": "x", "note": "Has Spaces", "1st": "x", "é": "x"}
    assert encoded(metadata=given, on=VERTEX).body["labels"] == {"team": "a-1"}
    assert "labels" not in encoded(metadata=given).body


def test_safety_is_the_deployment_s() -> None:
    on = Gemini(safety={"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"})
    assert encoded(on=on).body["safetySettings"] == [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    ]


def test_extra_body_adds_to_our_fields() -> None:
    extra = {"generationConfig": {"topK": 5}, "cachedContent": "cachedContents/x"}
    request = encoded(temperature=1.0, extra_body=extra, extra_headers={"x-a": "b"})
    assert request.body["generationConfig"] == {"temperature": 1.0, "topK": 5}
    assert request.body["cachedContent"] == "cachedContents/x"
    assert request.headers == {"x-a": "b"}


def test_rules_replace_what_the_name_says() -> None:
    on = Gemini(rules=ModelRules(efforts={"xhigh": 7}))
    config = encoded(on=on, model="mine", reasoning_effort="high").body["generationConfig"]
    assert config == {"thinkingConfig": {"thinkingBudget": 7}}


def test_image_models_are_not_told_how_to_think() -> None:
    assert rules_for("gemini-2.5-flash-image") is UNKNOWN
    assert rules_for("gemini-3-pro-image-preview").call_signatures
    assert not rules_for("gemini-3-pro-image-preview").efforts


# --- counting


def test_tokens_are_counted_of_the_whole_request() -> None:
    assert isinstance(GEMINI, Counts)
    request = GEMINI.count(turn(instructions="Be brief.", tools=[LOOK], stream=True))
    assert request.path == f"/models/{OLD}:countTokens"
    whole = request.body["generateContentRequest"]
    assert whole["model"] == f"models/{OLD}"
    assert {"systemInstruction", "contents", "tools"} <= whole.keys()


def test_vertex_counts_fewer_fields() -> None:
    request = VERTEX.count(turn(instructions="Be brief.", tools=[LOOK], tool_choice="required"))
    assert request.path == f"/publishers/google/models/{OLD}:countTokens"
    assert request.body.keys() == {"systemInstruction", "contents", "tools"}


def test_count_without_a_number_is_the_upstream_s_mistake() -> None:
    assert GEMINI.counted(b'{"totalTokens": 7}') == 7
    with pytest.raises(UpstreamProtocolError, match="totalTokens"):
        GEMINI.counted(b"{}")
