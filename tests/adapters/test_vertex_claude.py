"""Claude on Vertex AI: the Messages adapter at another address.

Nothing was ever recorded there; the official client is the judge of what must be sent.
"""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest
from messages_turns import message, turn

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Counts
from responses_mw.adapters.vertex import VertexClaude, base_url
from responses_mw.deltas import Stopped, TextDelta
from responses_mw.errors import UpstreamRefused
from responses_mw.sse import ServerSentEvent

MESSAGES = AnthropicMessages(name="vertex_ai", cache=None, betas=("files-api-2025-04-14",))
CLAUDE = VertexClaude(messages=MESSAGES)
MODEL = "claude-sonnet-4-5@20250929"


def asked(
    ask: Callable[[anthropic.AnthropicVertex], Any], *, region: str = "us-east5"
) -> httpx2.Request:
    """What the official client sends."""
    sent: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, json={"input_tokens": 1})

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        anthropic.AnthropicVertex(
            region=region, project_id="p", access_token="t", http_client=http
        ) as client,
    ):
        ask(client)
    return sent[0]


def official(body: dict[str, Any], *, region: str = "us-east5") -> httpx2.Request:
    """The same message, said by the official client."""
    return asked(
        lambda client: client.messages.create(
            model=MODEL,
            max_tokens=body["max_tokens"],
            messages=body["messages"],
            extra_body={"anthropic_version": "vertex-2023-10-16"},
            stream=body.get("stream", False),
        ),
        region=region,
    )


@pytest.mark.parametrize("stream", [False, True])
def test_request_is_addressed_like_the_official_client_s(stream: bool) -> None:
    request = CLAUDE.encode(turn(model=MODEL, max_output_tokens=9, stream=stream))
    expected = official(request.body)

    url = base_url("p", "us-east5", version="v1") + request.path
    assert url == str(expected.url)
    told = json.loads(expected.content)
    assert request.body | {"stream": stream} == told


def test_version_is_in_the_body_and_betas_are_in_the_headers() -> None:
    request = CLAUDE.encode(turn(model=MODEL, extra_headers={"x-a": "b"}))
    assert request.headers == {"anthropic-beta": "files-api-2025-04-14", "x-a": "b"}
    assert request.body["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in request.body


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("global", "https://aiplatform.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ("us", "https://aiplatform.us.rep.googleapis.com"),
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
    ],
)
def test_host_is_the_location_s(location: str, host: str) -> None:
    assert base_url("p", location) == f"{host}/v1beta1/projects/p/locations/{location}"
    body = CLAUDE.encode(turn(model=MODEL, max_output_tokens=9)).body
    assert str(official(body, region=location).url).startswith(f"{host}/v1/projects/p/")


def test_host_may_be_another() -> None:
    assert base_url("p", "eu", host="http://127.0.0.1:9/") == (
        "http://127.0.0.1:9/v1beta1/projects/p/locations/eu"
    )


def test_answers_are_read_as_messages() -> None:
    body = json.dumps(
        {"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "usage": {}}
    ).encode()
    deltas = list(CLAUDE.decode(body, turn(model=MODEL)))
    assert TextDelta("Hi") in deltas
    assert deltas[-1] == Stopped()
    assert CLAUDE.scope(turn(model=MODEL)) == "anthropic:claude-sonnet-4-5"
    assert (CLAUDE.name, CLAUDE.framing) == ("vertex_ai", "sse")
    assert (
        list(CLAUDE.decoder(turn(model=MODEL)).feed(ServerSentEvent("ping", b'{"type": "ping"}')))
        == []
    )


def test_errors_of_google_are_translated() -> None:
    body = b'{"error": {"code": 403, "message": "No.", "status": "PERMISSION_DENIED"}}'
    error = CLAUDE.error(403, {}, body)
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.code, error.provider) == (403, "permission_denied", "vertex_ai")


def test_tokens_are_counted_at_the_official_client_s_address() -> None:
    assert isinstance(CLAUDE, Counts)
    request = CLAUDE.count(turn(message("user", "Hi"), model=MODEL))
    expected = asked(
        lambda client: client.messages.count_tokens(
            model=MODEL,
            messages=request.body["messages"],
            extra_body={"anthropic_version": "vertex-2023-10-16"},
        )
    )
    assert base_url("p", "us-east5", version="v1") + request.path == str(expected.url)
    assert request.body == json.loads(expected.content)
    assert CLAUDE.counted(b'{"input_tokens": 3}') == 3
