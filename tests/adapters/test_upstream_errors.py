"""Upstream errors: every body shape that was seen, and what each status becomes.

Bodies under "typed by hand" follow the providers' documentation: nobody recorded them.
"""

import json

import pytest

from responses_mw.adapters.upstream_errors import MAX_MESSAGE, streamed_error, upstream_error
from responses_mw.errors import UpstreamError

TOO_LONG = (400, "invalid_request_error", "context_length_exceeded", "input")
NO_KEY = (401, "authentication_error", "invalid_api_key", None)
NO_MODEL = (404, "invalid_request_error", "model_not_found", "model")
TOO_FAST = (429, "rate_limit_error", "rate_limit_exceeded", None)
SPENT = (429, "insufficient_quota", "insufficient_quota", None)


def translate(status, body, headers=None) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return upstream_error(status, headers or {}, raw, provider="acme")


def verdict(error):
    return error.status, error.type, error.code, error.param


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"message": "bad", "type": "x", "param": "stop", "code": "oops"}},
         (400, "invalid_request_error", "oops", "stop")),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]},
         (400, "invalid_request_error", None, None)),
        (400, {"type": "error", "error": {"type": "invalid_request_error",
                                          "message": "prompt is too long: 9 tokens > 8 maximum"}},
         TOO_LONG),
        (400, {"message": "Input is too long for requested model."}, TOO_LONG),
        (400, {"error": {"code": 400, "status": "INVALID_ARGUMENT",
                         "message": "The input token count (9) exceeds the maximum number (8)."}},
         TOO_LONG),
        (400, {"error": {"message": "This model's maximum context length is 8 tokens."}}, TOO_LONG),
        (400, {"error": {"code": 400, "message": "the request exceeds the available context size",
                         "type": "exceed_context_size_error"}}, TOO_LONG),
        (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 8 + 2"}},
         TOO_LONG),
        (400, {"error": {"message": "prompt too long; exceeded max context length by 9"}},
         TOO_LONG),
        (400, {"error_type": "TOO_MANY_TOKENS", "id": "x", "message": "size limit"}, TOO_LONG),
        (400, {"error": {"message": "The total length is too long.",
                         "type": "too_many_prompt_tokens", "code": 400}}, TOO_LONG),
        (413, {"error": {"type": "request_too_large", "message": "big"}}, TOO_LONG),
        (401, {"error": {"message": "Unauthorized", "type": "api_error"}}, NO_KEY),
        (401, {"detail": "Invalid API Key"}, NO_KEY),
        (400, {"error": {"code": 400, "message": "API key not valid.",
                         "details": [{"reason": "API_KEY_INVALID"}]}}, NO_KEY),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided."}, NO_KEY),
        (403, {"message": "The security token included in the request is invalid."},
         (403, "permission_error", "permission_denied", None)),
        (404, {"error": "model 'nonexistent:latest' not found"}, NO_MODEL),
        (404, {"error": {"type": "invalid_request_error", "code": "DeploymentNotFound",
                         "message": "no such deployment"}}, NO_MODEL),
        (400, {"error": {"message": "no model", "code": "model_not_found"}}, NO_MODEL),
        (400, {"message": "The provided model identifier is invalid."}, NO_MODEL),
        (404, b"", (404, "invalid_request_error", None, None)),
        (429, {"error": {"code": "RateLimitReached", "message": "slow down"}}, TOO_FAST),
        (413, {"error": {"code": "rate_limit_exceeded", "message": "tokens per minute"}}, TOO_FAST),
        (429, {"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}, SPENT),
        (429, {"type": "error", "error": {
            "type": "rate_limit_error", "message": "spend limit",
            "details": {"error_code": "enforced_spend_limit_reached"}}}, SPENT),
        (402, {"error": {"message": "Insufficient Balance"}}, SPENT),
        (400, ["not an object"], (400, "invalid_request_error", None, None)),
        (400, b"null", (400, "invalid_request_error", None, None)),
    ],
)  # fmt: skip
def test_each_shape_of_client_error_is_understood(status, body, expected):
    assert verdict(translate(status, body)) == expected


@pytest.mark.parametrize(
    ("status", "ours"),
    [(408, 504), (409, 503), (424, 502), (498, 503), (500, 500), (502, 502), (503, 503),
     (504, 504), (529, 503), (302, 502), (600, 502)],
)  # fmt: skip
def test_troubles_of_the_server_stay_server_errors(status, ours):
    error = translate(status, {"error": {"message": "overloaded", "type": "overloaded_error"}})
    assert verdict(error) == (ours, "server_error", "server_error", None)
    assert error.retryable


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 501])
def test_what_will_fail_again_is_not_retryable(status):
    assert not translate(status, {"error": {"message": "no"}}).retryable


def test_a_spent_budget_tells_the_client_not_to_retry():
    error = translate(429, {"error": {"code": "insufficient_quota", "message": "pay"}})
    assert error.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("said", "retryable"), [("true", True), ("false", False)])
def test_the_upstreams_own_word_on_retrying_wins(said, retryable):
    assert translate(503, {}, {"x-should-retry": said}).retryable is retryable


@pytest.mark.parametrize(
    ("headers", "seconds", "sent"),
    [
        ({"retry-after": "7"}, 7.0, "7"),
        ({"retry-after": "1", "retry-after-ms": "0"}, 1.0, "1"),  # as Azure was recorded
        ({"retry-after": "2", "retry-after-ms": "1250"}, 1.25, "2"),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
          "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0, "30"),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None, None),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": f"Wed, 21 Oct {10**20} 07:28:30 GMT"}, None, None),
        ({"retry-after": "nan"}, None, None),
        ({"retry-after": "-3"}, None, None),
        ({}, None, None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_each_of_its_forms(headers, seconds, sent):
    error = translate(429, {"error": {"message": "slow down"}}, headers)
    assert error.retry_after == seconds
    assert error.headers.get("Retry-After") == sent


def test_gemini_says_the_wait_in_the_body_only():
    details = [{"violations": []}, {"@type": "RetryInfo", "retryDelay": "34.4s"}]
    error = translate(429, {"error": {"code": 429, "message": "quota", "details": details}})
    assert error.retry_after == 34.4
    assert error.headers["Retry-After"] == "35"


def test_a_key_quoted_by_the_upstream_is_not_repeated():
    text = (
        "Incorrect API key provided: sk-proj-abcdef123456ghij. Partly: invalid-*****2345. "
        "Find yours at https://platform.openai.com/account/api-keys."
    )
    error = translate(401, {"error": {"message": text}})
    assert "sk-proj" not in error.message
    assert "2345" not in error.message
    assert "https://platform.openai.com/account/api-keys" in error.message


def test_a_proxys_page_is_not_shown_and_the_upstream_is_named():
    error = translate(502, b"<html><h1>502 Bad Gateway</h1></html>")
    assert error.message == "acme answered HTTP 502 and did not say why"
    assert error.provider == "acme"


def test_plain_text_is_the_message_and_long_ones_are_cut():
    assert translate(503, b"upstream connect error").message == "upstream connect error"
    assert len(translate(500, {"error": {"message": "x" * 9000}}).message) == MAX_MESSAGE
    assert translate(500, b"\xff\xfe").message


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"error": {"message": "m", "type": "invalid_request_error", "code": "tool_use_failed",
                    "status_code": 400}}, 400),
        ({"error": {"code": 400, "message": "Token limit reached"}, "choices": []}, 400),
        ({"error": {"code": "502", "message": "bad gateway"}}, 502),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, 503),
        ({"error": {"type": "rate_limit_error", "message": "slow"}}, 429),
        ({"error": {"message": "who knows"}}, 500),
        ({"error": "just words"}, 500),
        ([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}], 503),
        ({"error": {"code": 7, "message": "not an HTTP status"}}, 500),
    ],
)  # fmt: skip
def test_an_error_inside_a_stream_gets_the_status_it_would_have_had(event, status):
    error = streamed_error(event, provider="acme")
    assert error.status == status
    assert error.message
