"""What an upstream has no word for: named in a header, or refused where the application is
strict."""

from typing import Any

import httpx2
import pytest
from upstream import Exchange, upstream

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import PERPLEXITY
from responses_mw.app import ResponsesApp
from responses_mw.router import Deployment
from responses_mw.settings import Settings
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.transport import HTTPProvider
from stores import MemoryStore

CHAT = {"choices": [{"message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]}
MESSAGES = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
LOSSY: list[tuple[Adapter, Any, dict[str, Any], str]] = [
    (AnthropicMessages(), MESSAGES, {"presence_penalty": 0.5}, "presence_penalty"),
    (AnthropicMessages(), MESSAGES, {"temperature": 1.5}, "temperature"),
    (AnthropicMessages(), MESSAGES, {"text": {"verbosity": "low"}}, "text.verbosity"),
    (ChatCompletions(PERPLEXITY), CHAT, {"top_logprobs": 2}, "top_logprobs"),
    (ChatCompletions(PERPLEXITY), CHAT, {"text": {"verbosity": "low"}}, "text.verbosity"),
]


def names(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "name", "")


async def answer(
    adapter: Adapter, body: Any, parameters: dict[str, Any], *, strict: bool
) -> tuple[httpx2.Response, int]:
    """The answer, and how often the upstream was asked."""

    async def say(exchange: Exchange) -> None:
        await exchange.whole(body)

    async with upstream(say) as server:
        provider = HTTPProvider(adapter, base_url=server.url)
        app = ResponsesApp(
            store=MemoryStore(),
            models={"m": Deployment(provider, model="claude-haiku-4-5")},
            settings=Settings(strict=strict),
        )
        async with (
            app.lifespan(),
            httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as http,
        ):
            asked = {"model": "m", "input": "Hi.", **parameters}
            return await http.post("/responses", json=asked), len(server.exchanges)


@pytest.mark.parametrize(("adapter", "body", "parameters", "name"), LOSSY, ids=names)
async def test_what_is_left_out_is_named_in_a_header(
    adapter: Adapter, body: Any, parameters: dict[str, Any], name: str
) -> None:
    got, asked = await answer(adapter, body, parameters, strict=False)
    assert (got.status_code, asked) == (200, 1)
    assert name in got.headers["x-responses-mw-dropped"].split(",")


@pytest.mark.parametrize(("adapter", "body", "parameters", "name"), LOSSY, ids=names)
async def test_a_strict_application_refuses_it_by_name(
    adapter: Adapter, body: Any, parameters: dict[str, Any], name: str
) -> None:
    got, asked = await answer(adapter, body, parameters, strict=True)
    error = got.json()["error"]
    assert (got.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", name)
    assert asked == 0


async def test_a_strict_application_says_nothing_of_what_is_not_lossy() -> None:
    parameters = {"max_output_tokens": 20, "max_tool_calls": 3, "metadata": {"a": "b"}}
    for adapter, body, _, _ in LOSSY:
        got, _ = await answer(adapter, body, parameters, strict=True)
        assert got.status_code == 200, got.text
        assert got.json()["max_tool_calls"] == 3
        assert "x-responses-mw-dropped" not in got.headers
