"""Custom tools and namespaces over every format: a call, and its output sent back, in a chain that
is kept here or by the client."""

import json
from collections.abc import Callable
from typing import Any

import bedrock_stream as aws
import orjson
import pytest
from upstream import Exchange, upstream

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.openai_responses_dialects import VLLM
from responses_mw.app import ResponsesApp
from responses_mw.testing import check_event_order, openai_client
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Span, Turn
from stores import MemoryStore

PATCH = '*** Begin\n"é" \\ \U0001f600'
TOOLS: list[Any] = [
    {"type": "custom", "name": "patch"},
    {
        "type": "namespace",
        "name": "files",
        "description": "What is there.",
        "tools": [
            {"type": "function", "name": "look", "parameters": {"type": "object"}},
            {"type": "custom", "name": "edit"},
        ],
    },
]
CALLS = [
    ("patch", "c1", {"input": PATCH}),
    ("files__look", "c2", {"path": "x"}),
    ("files__edit", "c3", {"input": PATCH}),
]
"""As an upstream makes them that knows functions alone."""
TOLD = [
    ("custom_tool_call", "patch", None, PATCH),
    ("function_call", "look", "files", {"path": "x"}),
    ("custom_tool_call", "edit", "files", PATCH),
]
Said = Callable[[bool], Any]
"""A whole answer, or the events of a streamed one."""


def messages(stream: bool) -> Any:
    used = {"input_tokens": 1, "output_tokens": 1}
    answer = {"id": "msg", "type": "message", "role": "assistant", "model": "m", "usage": used}
    blocks = [{"type": "tool_use", "id": id, "name": name, "input": a} for name, id, a in CALLS]
    ended = {"stop_reason": "tool_use", "stop_sequence": None}
    if not stream:
        return {**answer, **ended, "content": blocks}
    events: list[Any] = [{"type": "message_start", "message": {**answer, "content": []}}]
    for index, block in enumerate(blocks):
        argued = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        opened = {**block, "input": {}}
        events += [
            {"type": "content_block_start", "index": index, "content_block": opened},
            {"type": "content_block_delta", "index": index, "delta": argued},
            {"type": "content_block_stop", "index": index},
        ]
    ending = {"type": "message_delta", "delta": ended, "usage": used}
    return [*events, ending, {"type": "message_stop"}]


def gemini(stream: bool) -> Any:
    parts = [{"functionCall": {"name": name, "args": a, "id": id}} for name, id, a in CALLS]
    content = {"role": "model", "parts": parts}
    answer = {"candidates": [{"content": content, "finishReason": "STOP"}], "modelVersion": "m"}
    return [answer] if stream else answer


def converse(stream: bool) -> Any:
    if not stream:
        used = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
        said = [{"toolUse": {"toolUseId": id, "name": name, "input": a}} for name, id, a in CALLS]
        message = {"role": "assistant", "content": said}
        return {"output": {"message": message}, "stopReason": "tool_use", "usage": used}
    events = [aws.BEGIN]
    for index, (name, id, arguments) in enumerate(CALLS):
        events += [
            aws.start(index, toolUse={"toolUseId": id, "name": name}),
            aws.delta(index, toolUse={"input": json.dumps(arguments)}),
            aws.stop(index),
        ]
    return aws.stream(*events, aws.end("tool_use"), aws.METADATA)


def chat(stream: bool) -> Any:
    calls = [
        {
            "index": n,
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(a)},
        }
        for n, (name, id, a) in enumerate(CALLS)
    ]
    said = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {"index": 0, "finish_reason": "tool_calls", "delta" if stream else "message": said}
    kind = "chat.completion.chunk" if stream else "chat.completion"
    answer = {"id": "c", "object": kind, "model": "m", "choices": [choice]}
    return [answer] if stream else answer


def functions(stream: bool) -> Any:
    return responses(
        [
            {
                "type": "function_call",
                "id": f"fc_{id}",
                "call_id": id,
                "name": name,
                "arguments": json.dumps(a),
            }
            for name, id, a in CALLS
        ],
        stream=stream,
    )


def natively(stream: bool) -> Any:
    said = [
        {
            "type": "custom_tool_call",
            "id": "ctc_1",
            "call_id": "c1",
            "name": "patch",
            "input": PATCH,
        },
        {
            "type": "function_call",
            "id": "fc_2",
            "call_id": "c2",
            "name": "look",
            "arguments": '{"path": "x"}',
            "namespace": "files",
        },
        {
            "type": "custom_tool_call",
            "id": "ctc_3",
            "call_id": "c3",
            "name": "edit",
            "input": PATCH,
            "namespace": "files",
        },
    ]
    return responses(said, stream=stream)


def responses(said: list[dict[str, Any]], *, stream: bool) -> Any:
    output = [{**item, "status": "completed"} for item in said]
    answer = {
        "id": "resp_theirs", "object": "response", "status": "completed", "model": "m",
        "output": output, "error": None, "incomplete_details": None,
    }  # fmt: skip
    if not stream:
        return answer
    events: list[Any] = []
    for index, item in enumerate(output):
        place = {"output_index": index, "item_id": item["id"]}
        field = "input" if "input" in item else "arguments"
        stem = "custom_tool_call_input" if field == "input" else "function_call_arguments"
        begun = {**item, "status": "in_progress", field: ""}
        events += [
            {"type": "response.output_item.added", "output_index": index, "item": begun},
            {"type": f"response.{stem}.delta", **place, "delta": item[field]},
            {"type": f"response.{stem}.done", **place, field: item[field]},
            {"type": "response.output_item.done", "output_index": index, "item": item},
        ]
    return [*events, {"type": "response.completed", "response": answer}]


FORMATS: dict[str, tuple[Adapter, Said]] = {
    "anthropic": (AnthropicMessages(), messages),
    "bedrock": (BedrockConverse(), converse),
    "chat": (ChatCompletions(), chat),
    "gemini": (Gemini(), gemini),
    "responses of functions alone": (OpenAIResponses(dialect=VLLM), functions),
    "responses": (OpenAIResponses(), natively),
}


def answering(said: Said) -> Callable[[Exchange], Any]:
    async def answer(exchange: Exchange) -> None:
        stream = bool(exchange.json.get("stream")) or "stream" in exchange.path
        made = said(stream)
        if not stream:
            await exchange.whole(made)
            return
        if isinstance(made, bytes):
            await exchange.head(200, {"connection": "close"})
            await exchange.send(made)
        else:
            await exchange.sse()
            for event in made:
                named = event.get("type")
                await exchange.send(b"event: %b\n" % named.encode() if named else b"")
                await exchange.event(event)
        exchange.writer.close()

    return answer


def told(call: Any) -> tuple[Any, ...]:
    custom = call["type"] == "custom_tool_call"
    said = call["input"] if custom else json.loads(call["arguments"])
    return call["type"], call["name"], call.get("namespace"), said


@pytest.mark.parametrize("kept", [True, False], ids=["kept here", "kept by the client"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", FORMATS)
async def test_calls_are_told_as_what_they_are_and_answered(
    name: str, stream: bool, kept: bool
) -> None:
    adapter, said = FORMATS[name]
    async with upstream(answering(said)) as server:
        provider = HTTPProvider(adapter, base_url=server.url)
        app = ResponsesApp(store=MemoryStore(), models={"m": provider})
        async with app.lifespan(), openai_client(app) as client:

            async def ask(input: Any, **more: Any) -> list[Any]:
                asked: dict[str, Any] = {"model": "m", "tools": TOOLS, "store": kept, **more}
                made: Any = await client.responses.create(input=input, stream=stream, **asked)
                if stream:
                    events = [event.to_dict() async for event in made]
                    check_event_order(events)
                    answer = events[-1]["response"]
                else:
                    answer = made.to_dict()
                ids.append(answer["id"])
                output: list[Any] = answer["output"]
                assert [told(item) for item in output if "call_id" in item] == TOLD
                return output

            ids: list[str] = []
            output = await ask("Go.")
            outputs = [
                {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": "done"}
                for item in output
                if "call_id" in item
            ]
            if kept:
                await ask(outputs, previous_response_id=ids[0])
            else:
                await ask([{"role": "user", "content": "Go."}, *output, *outputs])
    sent = server.exchanges[1].json
    replayed = orjson.dumps(sent.get("messages") or sent.get("contents") or sent["input"]).decode()
    assert replayed.count('"done"') == len(CALLS)
    if name != "responses":
        assert all(f'"{wire}"' in replayed for wire, _, _ in CALLS)
        assert '"namespace"' not in replayed


def test_whose_tool_was_called_is_not_told_to_who_knows_functions_alone() -> None:
    """A later turn may offer no tools at all."""
    call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "done"}
    said = [{**item, "namespace": "files"} for item in (call, output)]
    sent = OpenAIResponses(dialect=VLLM).encode(Turn(model="m", spans=[Span(said)])).body["input"]
    assert sent == [call, output]
    known = OpenAIResponses().encode(Turn(model="m", spans=[Span(said)])).body["input"]
    assert [item["namespace"] for item in known] == ["files", "files"]
