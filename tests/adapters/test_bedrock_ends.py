"""How Converse answers end: reasons to stop, exceptions inside a stream, broken frames."""

from typing import Any

import orjson
import pytest
from bedrock_cases import deltas_of
from bedrock_heard import (
    ADAPTER,
    CLAUDE,
    USAGE,
    heard,
    said,
)
from bedrock_stream import BEGIN, METADATA, delta, end, start, stop, stream

from responses_mw.deltas import (
    Stopped,
    TextDelta,
    UpstreamInfo,
)
from responses_mw.errors import UpstreamError, UpstreamProtocolError, UpstreamRefused
from responses_mw.testing import check_event_order, play_recording

# --- the end


@pytest.mark.parametrize(
    ("reason", "stopped"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "stop"),
        ("max_tokens", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("new_reason", "stop"),
    ],
)
def test_reasons_to_stop(reason: str, stopped: Any) -> None:
    assert said({"text": "x"}, reason=reason)[-1] == Stopped(stopped)
    assert heard(BEGIN, delta(0, text="x"), stop(0), end(reason), METADATA)[-1] == Stopped(stopped)


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_output_that_bedrock_could_not_read_is_a_failure_with_its_usage(reason: str) -> None:
    body = stream(BEGIN, delta(0, text="x"), stop(0), end(reason), METADATA)
    events = play_recording(ADAPTER, body, turn=CLAUDE)
    check_event_order(events)
    response = events[-1]["response"]
    assert response["status"] == "failed"
    assert response["error"]["code"] == "server_error"
    assert response["usage"]["input_tokens"] == 3
    with pytest.raises(UpstreamRefused, match=reason):
        said({"text": "x"}, reason=reason)


def test_an_answer_without_metadata_is_whole_and_ends_once() -> None:
    assert heard(BEGIN, delta(0, text="x"), end()) == [TextDelta("x"), Stopped()]
    assert heard(BEGIN, delta(0, text="x"), end(), METADATA, METADATA)[-2:] == [USAGE, Stopped()]


def test_tier_and_routed_model_are_reported() -> None:
    routed = {
        **METADATA[1],
        "serviceTier": {"type": "reserved"},
        "trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:x::foundation-model/a.b"}},
    }
    found = heard(BEGIN, end(), ("metadata", routed))
    assert found[0] == UpstreamInfo(
        model="arn:aws:bedrock:x::foundation-model/a.b", service_tier="scale"
    )


# --- errors


@pytest.mark.parametrize(
    ("name", "status", "code", "retryable"),
    [
        ("throttlingException", 429, "rate_limit_exceeded", True),
        ("modelStreamErrorException", 502, "server_error", True),
        ("modelTimeoutException", 504, "server_error", True),
        ("validationException", 400, None, False),
        ("serviceUnavailableException", 503, "server_error", True),
        ("internalServerException", 500, "server_error", True),
        ("newException", 500, "server_error", True),
    ],
)
def test_exceptions_inside_a_stream(
    name: str, status: int, code: str | None, retryable: bool
) -> None:
    body = stream(BEGIN, delta(0, text="So"), (name, {"message": "it broke"}))
    with pytest.raises(UpstreamRefused, match="it broke") as caught:
        deltas_of(ADAPTER, body, streamed=True)
    error = caught.value
    assert (error.status, error.code, error.retryable) == (status, code, retryable)

    events = play_recording(ADAPTER, body, turn=CLAUDE)
    check_event_order(events)
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "So"


@pytest.mark.parametrize(
    ("status", "type", "message", "expected"),
    [
        (429, "ThrottlingException:http://x", "Too many tokens, please wait", (429, None)),
        (400, "ServiceQuotaExceededException", "quota", (429, None)),
        (429, "com.amazon.coral#ModelNotReadyException:", "not ready", (429, None)),
        (408, "ModelTimeoutException", "timed out", (504, "server_error")),
        (424, "ModelErrorException", "The model said no", (502, "server_error")),
        (403, "AccessDeniedException", "You may not", (403, "permission_denied")),
        (403, "ExpiredTokenException", "expired", (403, "permission_denied")),
        (404, "ResourceNotFoundException", "no such profile", (404, "model_not_found")),
        (503, "ServiceUnavailableException", "down", (503, "server_error")),
        (
            400,
            "ValidationException",
            "Input is too long for requested model.",
            (400, "context_length_exceeded"),
        ),
        (
            400,
            "ValidationException",
            "The model returned the following errors: Input Tokens Exceeded: Number of input "
            "tokens exceeds maximum length.",
            (400, "context_length_exceeded"),
        ),
    ],
)
def test_http_errors(status: int, type: str, message: str, expected: tuple[int, Any]) -> None:
    headers = {"x-amzn-errortype": type, "retry-after": "3"}
    error = ADAPTER.error(status, headers, orjson.dumps({"message": message}))
    assert isinstance(error, UpstreamRefused)
    code = expected[1] or ("rate_limit_exceeded" if expected[0] == 429 else None)
    assert (error.status, error.code, error.retry_after) == (expected[0], code, 3)
    assert error.message == message


@pytest.mark.parametrize(
    "events",
    [
        [],
        [BEGIN, delta(0, text="x")],
        [BEGIN, ("contentBlockDelta", {"delta": {"text": "x"}})],
        [BEGIN, delta(0, text=5)],
        [BEGIN, ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {}}})],
        [BEGIN, delta(0, toolUse={"input": "{}"}), stop(0), end(), METADATA],
        [
            BEGIN,
            start(0, toolUse={"toolUseId": "a", "name": "x"}),
            start(0, toolUse={"toolUseId": "b", "name": "y"}),
        ],
        [BEGIN, ("messageStop", [])],
        [BEGIN, end(), ("metadata", {"usage": [1]})],
    ],
)
def test_a_broken_stream_is_the_upstreams_mistake(events: list[tuple[str, Any]]) -> None:
    with pytest.raises(UpstreamProtocolError):
        heard(*events)
    played = play_recording(ADAPTER, stream(*events), turn=CLAUDE)
    check_event_order(played)
    assert played[-1]["type"] == "response.failed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"<html>",
        b'{"output": {"message": {"role": "assistant"}}}',
        b'{"output": {"message": {"role": "assistant", "content": [5]}}, "stopReason": "x"}',
        b'{"output": {"message": {"role": "assistant", "content": []}}}',
    ],
)
def test_an_answer_that_is_no_message_is_the_upstreams_mistake(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        deltas_of(ADAPTER, body, streamed=False)
    assert isinstance(caught.value, UpstreamProtocolError)
