"""What a Converse request says of reasoning, sampling and everything optional."""

from typing import Any

import pytest
from bedrock_requests import (
    LOOP,
    NEW_CLAUDE,
)
from bedrock_turns import (
    CLAUDE,
    LLAMA,
    NOVA,
    NOVA_2,
    body,
    encoded,
    function,
    turn,
)

from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_encode import Guardrail
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Item

# --- reasoning and sampling


@pytest.mark.parametrize(
    ("model", "effort", "fields"),
    [
        (CLAUDE, None, None),
        (CLAUDE, "none", None),
        (CLAUDE, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (
            NEW_CLAUDE,
            "xhigh",
            {
                "thinking": {"type": "adaptive", "display": "summarized"},
                "output_config": {"effort": "xhigh"},
            },
        ),
        (NEW_CLAUDE, "none", {"thinking": {"type": "disabled"}}),
        (
            NOVA_2,
            "medium",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
        ),
        (NOVA_2, "none", {"reasoningConfig": {"type": "disabled"}}),
        ("openai.gpt-oss-20b-1:0", "minimal", {"reasoning_effort": "low"}),
        ("openai.gpt-oss-20b-1:0", "xhigh", {"reasoning_effort": "high"}),
        ("qwen.qwen3-32b-v1:0", "high", {"reasoning_config": "high"}),
        ("qwen.qwen3-32b-v1:0", "none", None),
        (LLAMA, "none", None),
    ],
)
def test_effort_is_said_in_the_familys_own_fields(
    model: str, effort: str | None, fields: dict[str, Any] | None
) -> None:
    request = encoded(model=model, reasoning_effort=effort)
    assert request.body.get("additionalModelRequestFields") == fields
    assert request.dropped == ()


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        (LLAMA, "high"),
        (NOVA, "low"),
        ("us.deepseek.r1-v1:0", "low"),
        ("openai.gpt-oss-20b", "none"),
    ],
)
def test_effort_that_cannot_be_said_is_named(model: str, effort: str) -> None:
    assert encoded(model=model, reasoning_effort=effort).dropped == ("reasoning.effort",)


def test_a_budget_is_part_of_a_limit() -> None:
    asked = body(reasoning_effort="high")
    assert asked["inferenceConfig"]["maxTokens"] > 16_384
    small = body(reasoning_effort="high", max_output_tokens=3000)
    assert small["inferenceConfig"] == {"maxTokens": 3000}
    assert small["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 1500


@pytest.mark.parametrize(
    ("items", "options"),
    [
        ([], {"max_output_tokens": 1000}),
        ([], {"tools": [function()], "tool_choice": "required"}),
        (LOOP, {"tools": [function()]}),
    ],
    ids=["no room", "forced call", "loop without thinking"],
)
def test_a_budget_that_claude_would_refuse_is_left_out(
    items: list[Item], options: dict[str, Any]
) -> None:
    request = encoded(*items, reasoning_effort="high", **options)
    assert "additionalModelRequestFields" not in request.body
    assert request.dropped == ("reasoning.effort",)


def test_a_summary_without_an_effort_is_named_where_it_changes_nothing() -> None:
    assert encoded(reasoning_summary="auto").dropped == ("reasoning.summary",)
    shown = body(reasoning_summary="auto", model=NEW_CLAUDE)["additionalModelRequestFields"]
    assert shown == {"thinking": {"type": "adaptive", "display": "summarized"}}
    for model in (NOVA, NOVA_2, LLAMA, "qwen.qwen3-32b-v1:0"):
        request = encoded(model=model, reasoning_summary="auto")
        assert request.dropped == ("reasoning.summary",)
        assert "additionalModelRequestFields" not in request.body
    assert encoded(model=NOVA_2, reasoning_summary="auto", reasoning_effort="low").dropped == ()


def test_a_claude_that_always_thinks_thinks_little() -> None:
    request = encoded(model="us.anthropic.claude-fable-5-1", reasoning_effort="none")
    assert request.body["additionalModelRequestFields"]["output_config"] == {"effort": "low"}
    assert request.dropped == ("reasoning.effort",)


@pytest.mark.parametrize(
    ("model", "options", "config", "dropped"),
    [
        (NOVA, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2, "topP": 0.5}, ()),
        (NOVA, {"temperature": 0.0}, {"temperature": 0.0}, ()),
        (NOVA, {"temperature": 1.7}, None, ("temperature",)),
        (CLAUDE, {"temperature": 0.2, "top_p": 0.5}, {"temperature": 0.2}, ("top_p",)),
        (CLAUDE, {"temperature": 0.2, "top_p": 1}, {"temperature": 0.2}, ()),
        (NEW_CLAUDE, {"temperature": 0.2, "top_p": 1}, None, ("temperature",)),
        (NEW_CLAUDE, {"temperature": 1}, None, ()),
    ],
)
def test_sampling_is_said_as_far_as_the_model_takes_it(
    model: str, options: dict[str, Any], config: Any, dropped: tuple[str, ...]
) -> None:
    request = encoded(model=model, **options)
    assert request.body.get("inferenceConfig") == config
    assert request.dropped == dropped


def test_nova_at_its_highest_effort_takes_neither_sampling_nor_limit() -> None:
    request = encoded(model=NOVA_2, reasoning_effort="high", temperature=0.2, max_output_tokens=900)
    assert "inferenceConfig" not in request.body
    assert set(request.dropped) == {"max_output_tokens", "temperature"}
    medium = encoded(model=NOVA_2, reasoning_effort="medium", max_output_tokens=900)
    assert medium.body["inferenceConfig"] == {"maxTokens": 900}


def test_thinking_takes_no_sampling() -> None:
    request = encoded(reasoning_effort="low", temperature=0.5, top_p=0.9)
    assert "temperature" not in request.body["inferenceConfig"]
    assert request.dropped == ("temperature", "top_p")


# --- options


def test_a_limit_is_the_clients_or_the_deployments() -> None:
    adapter = BedrockConverse(max_tokens=700)
    assert adapter.encode(turn()).body["inferenceConfig"] == {"maxTokens": 700}
    limited = adapter.encode(turn(max_output_tokens=50))
    assert limited.body["inferenceConfig"] == {"maxTokens": 50}
    assert "inferenceConfig" not in body()


@pytest.mark.parametrize(
    ("tier", "said", "dropped"),
    [
        ("auto", None, ()),
        ("default", {"type": "default"}, ()),
        ("flex", {"type": "flex"}, ()),
        ("priority", {"type": "priority"}, ()),
        ("scale", {"type": "reserved"}, ()),
        ("ultrafast", None, ("service_tier",)),
    ],
)
def test_service_tier(tier: str, said: Any, dropped: tuple[str, ...]) -> None:
    request = encoded(service_tier=tier)
    assert request.body.get("serviceTier") == said
    assert request.dropped == dropped


def test_metadata_labels_the_request_where_aws_takes_it() -> None:
    metadata = {"team": "a-1", "umlaut": "ä", "long": "x" * 300, "": "no key"}
    assert body(metadata=metadata)["requestMetadata"] == {"team": "a-1"}


def test_guardrail_and_latency_are_the_deployments() -> None:
    guardrail = Guardrail(id="g1", version="2", trace="enabled", stream_mode="async")
    adapter = BedrockConverse(guardrail=guardrail, latency="optimized")
    whole, streamed = (adapter.encode(turn(stream=stream)).body for stream in (False, True))
    config = {"guardrailIdentifier": "g1", "guardrailVersion": "2", "trace": "enabled"}
    assert whole["guardrailConfig"] == config
    assert streamed["guardrailConfig"] == {**config, "streamProcessingMode": "async"}
    assert whole["performanceConfig"] == {"latency": "optimized"}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True}, "top_logprobs"),
        ({"verbosity": "low"}, "text.verbosity"),
        ({"temperature": 1.5}, "temperature"),
        ({"service_tier": "fast"}, "service_tier"),
    ],
)
def test_what_cannot_be_said_is_named_or_refused(options: dict[str, Any], name: str) -> None:
    assert encoded(**options).dropped == (name,)
    with pytest.raises(UnsupportedByProvider) as caught:
        encoded(strict=True, **options)
    assert caught.value.param == name
