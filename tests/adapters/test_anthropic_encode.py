"""What a Messages request says besides its messages, and what is said about the rest of a turn."""

from typing import Any

import pytest
from messages_turns import PLAIN, encoded, function, message, messages, turn

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.anthropic_models import family, rules_for
from responses_mw.errors import UnsupportedByProvider

# --- the envelope


def test_request_has_the_path_the_version_and_a_limit() -> None:
    request = encoded()

    assert request.path == "/v1/messages"
    assert request.headers == {"anthropic-version": "2023-06-01"}
    assert request.body == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }
    assert request.dropped == ()


def test_limits_come_from_the_client_then_the_deployment_then_the_model() -> None:
    asked = turn(max_output_tokens=50)

    assert AnthropicMessages(max_tokens=700).encode(asked).body["max_tokens"] == 50
    assert AnthropicMessages(max_tokens=700).encode(turn()).body["max_tokens"] == 700
    assert encoded(model="claude-3-haiku-20240307").body["max_tokens"] == 4096
    assert encoded(model="smollm2").body["max_tokens"] == 4096


def test_options_that_have_a_place() -> None:
    body = encoded(user="u1", service_tier="default", stream=True, temperature=0.5).body

    assert body["metadata"] == {"user_id": "u1"}
    assert body["service_tier"] == "standard_only"
    assert body["stream"] is True
    assert body["temperature"] == 0.5


def test_extra_body_and_headers_are_added_and_betas_joined() -> None:
    adapter = AnthropicMessages(betas=("one",), cache=None)

    request = adapter.encode(turn(extra_body={"top_k": 5}, extra_headers={"Anthropic-Beta": "two"}))

    assert request.body["top_k"] == 5
    assert request.headers["anthropic-beta"] == "one,two"


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("presence_penalty", 0.5, "presence_penalty"),
        ("frequency_penalty", 0.5, "frequency_penalty"),
        ("top_logprobs", 3, "top_logprobs"),
        ("logprobs", True, "top_logprobs"),
        ("verbosity", "low", "text.verbosity"),
        ("service_tier", "flex", "service_tier"),
        ("temperature", 1.5, "temperature"),
        ("reasoning_summary", "auto", "reasoning.summary"),
    ],
)
def test_field_that_cannot_be_said_is_named_or_refused(field: str, value: Any, named: str) -> None:
    assert encoded(**{field: value}).dropped == (named,)
    with pytest.raises(UnsupportedByProvider) as refused:
        encoded(**{field: value}, strict=True)
    assert refused.value.param == named


# --- system


def test_instructions_and_leading_system_messages_are_the_system_prompt() -> None:
    body = encoded(
        message("developer", "Be kind."), message("user", "Hi"), instructions="Be brief."
    ).body

    assert [block["text"] for block in body["system"]] == ["Be brief.", "Be kind."]


def test_later_system_message_is_marked_user_text() -> None:
    said = messages(message("user", "Hi"), message("assistant", "Yes?"), message("system", "Stop."))

    assert said[-1] == ("user", ["<system>\nStop.\n</system>"])


def test_input_of_system_messages_alone_is_said_as_user() -> None:
    request = encoded(message("system", "Say hello."), instructions="Be brief.")

    assert [b["text"] for b in request.body["system"]] == ["Be brief."]
    assert request.body["messages"][0]["content"][0]["text"] == "<system>\nSay hello.\n</system>"


# --- caching


def marked(body: dict[str, Any]) -> list[Any]:
    blocks = [*body.get("tools", ()), *body.get("system", ())]
    blocks += [block for m in body["messages"] for block in m["content"]]
    return [block for block in blocks if "cache_control" in block]


def test_growing_chain_marks_the_end_that_it_marked_before() -> None:
    adapter = AnthropicMessages()
    first = [message("user", "one", "two")]
    options: dict[str, Any] = {"instructions": "Be brief.", "tools": [function()]}

    before = adapter.encode(turn(*first, **options)).body
    after = adapter.encode(
        turn(*first, message("assistant", "A"), message("user", "three"), **options)
    ).body

    assert len(marked(before)) == 3
    assert len(marked(after)) == 4
    assert after["messages"][0] == before["messages"][0]
    assert after["messages"][0]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert after["messages"][-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}


def test_longer_caching_is_a_setting_and_unknown_models_are_not_asked() -> None:
    hour = AnthropicMessages(cache="1h").encode(turn()).body
    unknown = AnthropicMessages().encode(turn(model="smollm2")).body

    assert [b["cache_control"]["ttl"] for b in marked(hour)] == ["1h"]
    assert marked(unknown) == []


# --- models


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("claude-sonnet-4-0", "claude-sonnet-4-0"),
        ("claude-4-opus-20250514", "claude-opus-4-0"),
        ("claude-3-5-sonnet-20241022", "claude-sonnet-3-5"),
        ("claude-3-opus-latest", "claude-opus-3-0"),
        ("claude-fable-5", "claude-fable-5-0"),
        ("smollm2-135m-instruct", "smollm2-135m-instruct"),
    ],
)
def test_family_is_tier_and_version(model: str, expected: str) -> None:
    assert family(model) == expected
    assert PLAIN.scope(turn(model=model)) == f"anthropic:{expected}"


def test_newer_models_follow_the_newest_rules_of_their_tier() -> None:
    assert rules_for("claude-opus-7-2") == rules_for("claude-opus-5-5")
    assert rules_for("claude-haiku-4-6") != rules_for("claude-haiku-4-5")


@pytest.mark.parametrize(
    ("model", "sent", "dropped"),
    [
        ("claude-sonnet-4-0", {"temperature": 0.5, "top_p": 0.9}, ()),
        ("claude-sonnet-4-5", {"temperature": 0.5}, ("top_p",)),
        ("claude-opus-4-7", {}, ("temperature", "top_p")),
        ("claude-sonnet-5-5", {}, ("temperature", "top_p")),
        ("smollm2", {"temperature": 0.5, "top_p": 0.9}, ()),
    ],
)
def test_sampling_follows_the_model(model: str, sent: Any, dropped: Any) -> None:
    request = encoded(model=model, temperature=0.5, top_p=0.9)

    assert {k: v for k, v in request.body.items() if k in ("temperature", "top_p")} == sent
    assert request.dropped == dropped


def test_default_sampling_is_left_out_without_a_word_where_it_cannot_be_said() -> None:
    newest = AnthropicMessages(api_version="2026-10-21", cache=None)

    request = newest.encode(turn(temperature=1.0, top_p=1.0, strict=True))

    assert request.headers["anthropic-version"] == "2026-10-21"
    assert not {"temperature", "top_p"} & set(request.body)
    assert encoded(model="claude-opus-4-7", temperature=1.0, top_p=1.0).dropped == ()
