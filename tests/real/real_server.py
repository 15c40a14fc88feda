"""What a real model server must get through: the same tests for each, by inheritance.

What the model says is not judged, since it may be a toy; that it was asked, heard and continued is.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError

from responses_mw.app import ResponsesApp
from responses_mw.config import load
from responses_mw.testing import check_event_order, openai_client
from stores import MemoryStore

PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Says the weather of a city.",
    "parameters": PARAMETERS,
    "strict": False,
}
CALL = {
    "type": "object",
    "properties": {"name": {"const": "get_weather"}, "arguments": PARAMETERS},
    "required": ["name", "arguments"],
    "additionalProperties": False,
}
CALL_FORMAT: Any = {"format": {"type": "json_schema", "name": "call", "schema": CALL}}


@dataclass(frozen=True)
class RealServer:
    """`url` without a path; `context` is how many tokens a turn may have."""

    url: str
    model: str
    context: int

    def entries(self) -> list[dict[str, Any]]:
        """The same model by every format, as a configuration file would name it."""
        chat = {
            "model": f"openai/{self.model}",
            "api_base": f"{self.url}/v1",
            "use_chat_completions_api": True,
        }
        messages = {
            "model": f"anthropic/{self.model}",
            "api_base": f"{self.url}/v1",
            "api_key": "none",
        }
        return [
            {"model_name": "chat", "litellm_params": chat},
            {"model_name": "messages", "litellm_params": messages},
        ]


@pytest.fixture
async def client(server: RealServer) -> AsyncIterator[AsyncOpenAI]:
    models = load({"model_list": server.entries()}).models
    app = ResponsesApp(store=MemoryStore(), models=models)
    # As the client does by default: llama.cpp hangs up after some answers, now and then just as the
    # next request is written.
    async with app.lifespan(), openai_client(app, max_retries=2) as it:
        yield it


async def streamed(client: AsyncOpenAI, **asked: Any) -> Any:
    """The final response of a stream whose events are in order."""
    options: Any = {"temperature": 0, "max_output_tokens": 24, **asked}
    events = [event async for event in await client.responses.create(**options, stream=True)]
    check_event_order([event.model_dump(mode="json") for event in events])
    return events[-1].response


def call_of(text: str) -> dict[str, Any]:
    """The answer to CALL_FORMAT, as the item that a model with tools would have said."""
    said = json.loads(text)
    arguments = json.dumps(said["arguments"])
    named = {"name": said["name"], "arguments": arguments}
    return {"type": "function_call", "call_id": "call_1", **named}


class RealServerTests:
    """Whoever inherits says which `model`s there are."""

    async def test_three_turns_follow_each_other(self, client: AsyncOpenAI, model: str) -> None:
        last: Any = None
        tokens = [0]
        for said in ("The capital of France is Paris.", "Which city is it?", "Say it again."):
            last = await streamed(
                client, model=model, input=said, previous_response_id=last and last.id
            )
            assert last.status in ("completed", "incomplete")
            assert last.output_text
            assert last.usage.output_tokens > 0
            tokens.append(last.usage.input_tokens)
        assert tokens == sorted(set(tokens)), "each turn reads all that was said before"

    async def test_a_stream_says_what_a_whole_answer_says(
        self, client: AsyncOpenAI, model: str
    ) -> None:
        asked: Any = {"model": model, "input": "Count to five.", "max_output_tokens": 16}
        whole = await client.responses.create(**asked, temperature=0)
        stream = await streamed(client, **asked)
        assert (whole.output_text, whole.status) == (stream.output_text, stream.status)
        assert whole.usage.output_tokens == stream.usage.output_tokens

    async def test_the_limit_of_tokens_stops_it(self, client: AsyncOpenAI, model: str) -> None:
        response = await streamed(
            client, model=model, input="Tell me a long story.", max_output_tokens=16
        )
        assert response.status == "incomplete"
        assert response.incomplete_details.reason == "max_output_tokens"
        assert response.usage.output_tokens == 16

    @pytest.mark.parametrize("stream", [False, True])
    async def test_too_long_a_conversation_is_told_apart(
        self, client: AsyncOpenAI, server: RealServer, model: str, stream: bool
    ) -> None:
        with pytest.raises(BadRequestError) as refused:
            await client.responses.create(
                model=model,
                input="word " * 2 * server.context,
                max_output_tokens=16,  # what a format asks for by itself may be too much already
                stream=stream,
            )
        assert refused.value.code == "context_length_exceeded"
        assert refused.value.param == "input"

    async def test_a_call_made_by_schema_is_answered_and_gone_on_from(
        self, client: AsyncOpenAI, model: str
    ) -> None:
        """A toy never calls a tool by itself; a schema makes it say the call, through chat."""
        asked = {"role": "user", "content": "What is the weather in Paris?"}
        made = await streamed(
            client, model="chat", input=[asked], text=CALL_FORMAT, max_output_tokens=200
        )
        call = call_of(made.output_text)
        assert json.loads(call["arguments"])["city"] in ("Paris", "Rome")

        output = {"type": "function_call_output", "call_id": "call_1", "output": "Rain."}
        first = await streamed(client, model=model, input=[asked, call, output], tools=[WEATHER])
        second = await streamed(
            client, model=model, input="Thanks.", previous_response_id=first.id, tools=[WEATHER]
        )
        assert first.output_text
        assert second.usage.input_tokens > first.usage.input_tokens
