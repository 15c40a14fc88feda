"""Claude through InvokeModel: what is put around a Messages request, and taken off its answer."""

import base64
from typing import Any

import orjson
import pytest
from bedrock_cases import deltas_of
from bedrock_stream import stream
from bedrock_turns import CLAUDE, PNG, call, function, image, message, output, turn
from messages_oracle import official_message

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.anthropic_decode import events_of
from responses_mw.adapters.base import Counts
from responses_mw.adapters.bedrock_encode import Guardrail
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.deltas import Stopped, TextDelta
from responses_mw.errors import UnsupportedByProvider, UpstreamProtocolError, UpstreamRefused
from responses_mw.testing import check_event_order, play_recording

ADAPTER = BedrockInvoke()
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


def chunk(event: dict[str, Any]) -> tuple[str, Any]:
    return "chunk", {"bytes": base64.b64encode(orjson.dumps(event)).decode(), "p": "abc"}


CHUNKS = [chunk(event) for event in events_of(MESSAGE)]


def test_request_is_that_of_messages_without_what_the_path_says() -> None:
    asked = turn(tools=[function()], max_output_tokens=100, stream=True)
    request, inner = ADAPTER.encode(asked), AnthropicMessages().encode(asked)
    expected = {k: v for k, v in inner.body.items() if k not in ("model", "stream")}
    assert request.body == {**expected, "anthropic_version": "bedrock-2023-05-31"}
    assert request.path == (
        "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream"
    )
    assert request.headers == {}
    assert ADAPTER.encode(turn()).path.endswith("/invoke")


def test_betas_go_into_the_body() -> None:
    adapter = BedrockInvoke(messages=AnthropicMessages(betas=["a-1"]))
    request = adapter.encode(turn(extra_headers={"Anthropic-Beta": "b-2", "X-C": "d"}))
    assert request.body["anthropic_beta"] == ["a-1", "b-2"]
    assert request.headers == {"x-c": "d"}


def test_options_of_bedrock_are_headers() -> None:
    guardrail = Guardrail(id="g1", version="2", trace="enabled")
    adapter = BedrockInvoke(guardrail=guardrail, latency="optimized")
    request = adapter.encode(turn(service_tier="flex"))
    assert request.headers == {
        "x-amzn-bedrock-service-tier": "flex",
        "x-amzn-bedrock-guardrailidentifier": "g1",
        "x-amzn-bedrock-guardrailversion": "2",
        "x-amzn-bedrock-trace": "ENABLED",
        "x-amzn-bedrock-performanceconfig-latency": "optimized",
    }
    assert "service_tier" not in request.body
    assert request.dropped == ()


def test_an_unknown_tier_is_named_or_refused() -> None:
    assert ADAPTER.encode(turn(service_tier="fast")).dropped == ("service_tier",)
    assert ADAPTER.encode(turn(service_tier="flex", strict=True)).dropped == ()
    with pytest.raises(UnsupportedByProvider, match="'fast' tier"):
        ADAPTER.encode(turn(service_tier="fast", strict=True))


def test_sources_that_bedrock_would_have_to_fetch_are_refused() -> None:
    far = image("https://example.org/a.png")
    near = image(f"data:image/png;base64,{PNG}")
    ADAPTER.encode(turn(message("user", "See", near)))
    for items in (
        [message("user", far)],
        [message("user", "go"), call("a"), output("a", [far])],
        [message("user", image(None, file_id="file_1"))],
    ):
        with pytest.raises(UnsupportedByProvider, match="send the content itself") as caught:
            ADAPTER.encode(turn(*items))
        assert caught.value.param == "input"


def test_scope_is_that_of_messages_wherever_they_are_served() -> None:
    assert ADAPTER.scope(turn()) == AnthropicMessages().scope(turn(model="claude-sonnet-4-5"))


def test_stream_says_what_the_whole_answer_says() -> None:
    streamed = deltas_of(ADAPTER, stream(*CHUNKS, ("newEvent", {})), streamed=True)
    whole = deltas_of(ADAPTER, orjson.dumps(MESSAGE), streamed=False)
    assert streamed == whole
    assert TextDelta("Hi.") in whole
    assert whole[-1] == Stopped()
    assert official_message(orjson.dumps(MESSAGE), streamed=False)["content"] == MESSAGE["content"]


@pytest.mark.parametrize("count", range(len(CHUNKS)))
def test_stream_cut_short_fails_once(count: int) -> None:
    events = play_recording(ADAPTER, stream(*CHUNKS[:count]), turn=turn(stream=True))
    check_event_order(events)
    assert events[-1]["response"]["error"]["code"] == "upstream_protocol_error"


def test_exceptions_inside_a_stream_are_translated() -> None:
    body = stream(*CHUNKS[:2], ("throttlingException", {"message": "slow down"}))
    with pytest.raises(UpstreamRefused, match="slow down") as caught:
        deltas_of(ADAPTER, body, streamed=True)
    assert caught.value.status == 429


@pytest.mark.parametrize("payload", [{}, [], {"bytes": 5}, {"bytes": "A"}, {"bytes": "AAAA"}])
def test_a_malformed_chunk_is_the_upstreams_mistake(payload: Any) -> None:
    with pytest.raises(UpstreamProtocolError):
        deltas_of(ADAPTER, stream(("chunk", payload)), streamed=True)


def test_http_errors_are_bedrocks() -> None:
    headers = {"x-amzn-errortype": "ServiceQuotaExceededException:x"}
    error = ADAPTER.error(400, headers, b'{"message": "quota"}')
    assert (error.status, error.code) == (429, "rate_limit_exceeded")


def test_tokens_are_counted() -> None:
    assert isinstance(ADAPTER, Counts)
    assert ADAPTER.count(turn()).path.startswith("/model/" + CLAUDE.replace(":", "%3A"))
    assert ADAPTER.counted(b'{"inputTokens": 7}') == 7
