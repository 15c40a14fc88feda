"""Deployments of a configuration file, asked for real: a server on this machine stands where
`api_base` says, answers in the format that it is asked in, and shows what it was asked.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from openai import AsyncOpenAI
from test_vertex_auth import TokenServer, account, private_key, tokens
from upstream import Exchange, Upstream, upstream

from responses_mw.app import ResponsesApp
from responses_mw.config import CLOUDS, load
from responses_mw.errors import ConfigurationError
from responses_mw.responses_upstreams import DIALECT_OF
from responses_mw.testing import openai_client
from responses_mw.upstreams import UPSTREAMS

__all__ = ["account", "private_key", "tokens"]

AWS = {"aws_region_name": "us-east-1", "aws_access_key_id": "AKID", "aws_secret_access_key": "s"}
NEEDED: dict[str, dict[str, Any]] = {
    "bedrock": AWS,
    "bedrock_mantle": AWS,
    "vertex_ai": {"api_key": "k"},
}
"""Where a key is not what proves who asks, or not the usual one."""
ANSWERS: dict[str, dict[str, Any]] = {
    "/chat/completions": {
        "choices": [{"message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
    "/responses": {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Hi.", "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    },
    "/converse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi."}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    },
    ":generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi."}]},
                        "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    },
}  # fmt: skip
MESSAGE = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
ANSWERS |= dict.fromkeys(("/v1/messages", "/invoke", ":rawPredict"), MESSAGE)


async def by_format(exchange: Exchange) -> None:
    path = exchange.path.partition("?")[0]
    (answer,) = (answer for end, answer in ANSWERS.items() if path.endswith(end))
    await exchange.whole(answer)


@asynccontextmanager
async def serving(
    model: str, name: str = "m", **params: Any
) -> AsyncIterator[tuple[AsyncOpenAI, Upstream]]:
    """A client of an application with one entry, and the server that its `api_base` names."""
    async with upstream(by_format) as server:
        params = {"api_base": f"{server.url}/base", **params}
        entry = {"model_name": name, "litellm_params": {"model": model, **params}}
        app = ResponsesApp.from_config({"model_list": [entry]}, store="memory://")
        async with app.lifespan(), openai_client(app) as client:
            yield client, server


async def asked(client: AsyncOpenAI, server: Upstream, model: str = "m") -> Exchange:
    response = await client.responses.create(model=model, input="Hello.")
    assert response.output_text == "Hi."
    return server.exchanges[-1]


SPOKEN = {
    **{name: {} for name in ("openai", *CLOUDS, *UPSTREAMS)},
    **{f"{name} by Responses": {"use_responses_api": True} for name in DIALECT_OF},
    **{
        f"{name} by chat": {"use_chat_completions_api": True}
        for name in ("openai", "azure", "bedrock_mantle")
    },
}


@pytest.mark.parametrize("spoken", SPOKEN)
async def test_every_provider_is_asked_at_its_api_base(spoken: str) -> None:
    provider = spoken.partition(" ")[0]
    proof = NEEDED.get(provider, {"api_key": "k"})
    async with serving(f"{provider}/some-model", **proof, **SPOKEN[spoken]) as (client, server):
        exchange = await asked(client, server)
    assert exchange.path.startswith("/base/")
    borne = {*exchange.headers.values()}
    assert {"k", "Bearer k"} & borne or "AKID" in exchange.headers["authorization"]
    if " " in spoken:
        end = "/responses" if "Responses" in spoken else "/chat/completions"
        assert exchange.path.endswith(end)


async def test_bedrock_has_a_name_of_its_own_for_the_address() -> None:
    async with upstream(by_format) as server:
        named = {"aws_bedrock_runtime_endpoint": server.url, **AWS}
        params = {"model": "bedrock/us.amazon.nova-lite-v1:0", **named}
        entry = {"model_name": "m", "litellm_params": params}
        app = ResponsesApp.from_config({"model_list": [entry]}, store="memory://")
        async with app.lifespan(), openai_client(app) as client:
            exchange = await asked(client, server)
    assert unquote(exchange.path) == "/model/us.amazon.nova-lite-v1:0/converse"


# --- wildcards, which may mean Claude


async def test_a_wildcard_at_vertex_asks_claude_in_its_own_format(
    account: str, tokens: TokenServer
) -> None:
    place = {"vertex_credentials": account, "vertex_location": "us-east5"}
    async with serving("vertex_ai/*", name="google/*", **place) as (client, server):
        claude = await asked(client, server, "google/claude-sonnet-4-5@20250929")
        gemini = await asked(client, server, "google/gemini-2.5-flash")

    located = "projects/its-project/locations/us-east5/publishers"
    assert claude.path == (
        f"/base/v1/{located}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict"
    )
    assert "model" not in claude.json
    assert gemini.path == f"/base/v1beta1/{located}/google/models/gemini-2.5-flash:generateContent"
    assert len(tokens.asked) == 1  # one deployment, one token


async def test_a_wildcard_of_invoke_asks_others_by_converse() -> None:
    claude, nova = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-lite-v1:0"
    async with serving("bedrock/invoke/*", name="aws/*", **AWS) as (client, server):
        invoked = await asked(client, server, f"aws/{claude}")
        conversed = await asked(client, server, f"aws/{nova}")

    assert unquote(invoked.path) == f"/base/model/{claude}/invoke"
    assert invoked.json["anthropic_version"] == "bedrock-2023-05-31"
    assert unquote(conversed.path) == f"/base/model/{nova}/converse"


@pytest.mark.parametrize("responses", [False, True])
async def test_a_wildcard_at_foundry_asks_claude_in_its_own_format(responses: bool) -> None:
    foundry = {"api_key": "k", "use_responses_api": responses}
    async with serving("azure_ai/*", name="azure/*", **foundry) as (client, server):
        claude = await asked(client, server, "azure/claude-opus-4-5")
        grok = await asked(client, server, "azure/grok-4")

    assert claude.path == "/anthropic/v1/messages"
    assert claude.headers["x-api-key"] == "k"
    assert grok.path == ("/base/responses" if responses else "/base/chat/completions")


async def test_a_conversation_goes_on_between_the_two_sides_of_a_wildcard() -> None:
    async with serving("azure_ai/*", name="*", api_key="k") as (client, server):
        first = await client.responses.create(model="claude-opus-4-5", input="Hello.")
        then = await client.responses.create(
            model="grok-4", input="And now?", previous_response_id=first.id
        )
    assert then.output_text == "Hi."
    told = server.exchanges[-1].json["messages"]
    assert [message["content"] for message in told] == ["Hello.", "Hi.", "And now?"]


def test_a_wildcard_that_cannot_be_in_the_address_stops_the_start() -> None:
    place = {"api_base": "https://h", "api_version": "2024-02-01", "api_key": "k"}
    params = {"model": "azure/*", "use_chat_completions_api": True, **place}
    with pytest.raises(ConfigurationError, match="leave api_version out, or name each one"):
        load({"model_list": [{"model_name": "*", "litellm_params": params}]})


# --- whose account at Google


@pytest.mark.parametrize("form", ["mapping", "json", "path"])
async def test_google_credentials_are_taken_in_three_forms(
    form: str, account: str, tokens: TokenServer, tmp_path: Path
) -> None:
    key = tmp_path / "key.json"
    key.write_text(account)
    given = {"mapping": json.loads(account), "json": account, "path": str(key)}[form]
    async with upstream(by_format) as server:
        params = {"vertex_credentials": given, "api_base": server.url}
        entry = {"model_name": "m", "litellm_params": {"model": "vertex_ai/gemini-x", **params}}
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump({"model_list": [entry]}))
        app = ResponsesApp.from_config(file, store="memory://")
        async with app.lifespan(), openai_client(app) as client:
            exchange = await asked(client, server)

    assert exchange.headers["authorization"] == "Bearer token-1"
    assert exchange.path.startswith("/v1beta1/projects/its-project/locations/global/")


async def test_a_key_stands_for_a_project_at_vertex() -> None:
    async with serving("vertex_ai/gemini-2.5-flash", api_key="k") as (client, server):
        exchange = await asked(client, server)
    models = "/base/v1beta1/publishers/google/models"
    assert exchange.path == f"{models}/gemini-2.5-flash:generateContent"
    assert exchange.headers["x-goog-api-key"] == "k"
    assert "authorization" not in exchange.headers


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "vertex_ai/gemini-x", "vertex_project": "p"}, "there is no vertex_project"),
        ({"model": "vertex_ai/gemini-x", "vertex_credentials": {}}, "no vertex_credentials"),
        ({"model": "vertex_ai/claude-x"}, "Claude is not served to keys"),
    ],
)
def test_a_key_at_vertex_goes_with_nothing_else(params: dict[str, Any], said: str) -> None:
    entry = {"model_name": "m", "litellm_params": {"api_key": "k", **params}}
    with pytest.raises(ConfigurationError, match=said):
        load({"model_list": [entry]})


def test_the_path_for_a_key_is_the_one_of_the_official_client() -> None:
    from test_gemini_types import OfficialClient

    client = OfficialClient(vertexai=True)
    client.says("gemini-2.5-flash", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]})

    params = {"model": "vertex_ai/gemini-2.5-flash", "api_key": "none"}
    [ours] = load({"model_list": [{"model_name": "m", "litellm_params": params}]}).models["m"]
    path = "/publishers/google/models/gemini-2.5-flash:generateContent"
    assert str(client.sent[-1].url) == ours.provider.base_url + path
    assert client.sent[-1].headers["x-goog-api-key"] == "none"
