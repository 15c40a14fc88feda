"""Custom tools and namespaces on upstreams that know functions alone."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream import Exchange, Upstream, upstream

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import GENERIC
from responses_mw.adapters.client_tools import (
    ClientCalls,
    ClientTool,
    as_functions,
    client_tools,
    with_added_tools,
)
from responses_mw.adapters.gemini import Gemini
from responses_mw.app import ResponsesApp
from responses_mw.deltas import Canonical, ItemFinished, Stopped, ToolCallDelta, ToolCallStarted
from responses_mw.testing import check_event_order, openai_client
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Span, Turn
from stores import MemoryStore

PATCH = '*** Begin Patch\n"é" \\ \U0001f600\n*** End Patch'
ARGUMENTS = json.dumps({"input": PATCH})
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
TOOLS: list[Any] = [
    {"type": "custom", "name": "patch", "description": "Edits files.", "format": GRAMMAR},
    {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False},
]
CALLED = ("custom_tool_call", "patch", PATCH, "completed")


def pieces(text: str, size: int = 5) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def chunk(delta: Any, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def chat_stream() -> list[Any]:
    def argued(arguments: str) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})

    opened = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "patch"}}
    return [
        chunk({"role": "assistant", "content": "So:"}),
        chunk({"tool_calls": [opened]}),
        *map(argued, pieces(ARGUMENTS)),
        chunk({}, "tool_calls"),
    ]


def messages_stream() -> list[Any]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": []}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "patch", "input": {}}
    text = {"type": "text", "text": ""}

    def delta(index: int, **said: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": said}

    return [
        {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": text},
        delta(0, type="text_delta", text="So:"),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        *[delta(1, type="input_json_delta", partial_json=piece) for piece in pieces(ARGUMENTS)],
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage},
        {"type": "message_stop"},
    ]


def gemini_stream() -> list[Any]:
    call = {"functionCall": {"name": "patch", "args": {"input": PATCH}}, "thoughtSignature": "c2ln"}
    parts = [{"text": "So:"}, call]
    content = {"role": "model", "parts": parts}
    return [{"candidates": [{"content": content, "finishReason": "STOP"}], "modelVersion": "m"}]


FORMATS: dict[str, tuple[Adapter, list[Any]]] = {
    "chat": (ChatCompletions(GENERIC), chat_stream()),
    "messages": (AnthropicMessages(), messages_stream()),
    "gemini": (Gemini(), gemini_stream()),
}


def streaming(events: Sequence[Any]) -> Any:
    async def answer(exchange: Exchange) -> None:
        await exchange.sse()
        for event in events:
            if "type" in event:
                await exchange.send(b"event: %b\n" % event["type"].encode())
            await exchange.event(event)
        exchange.writer.close()

    return answer


def application(adapter: Adapter, server: Upstream) -> ResponsesApp:
    provider = HTTPProvider(adapter, base_url=server.url, stream=True)
    return ResponsesApp(store=MemoryStore(), models={"m": provider})


def told(item: Any) -> tuple[Any, ...]:
    return item.type, item.name, item.input, item.status


@pytest.mark.parametrize("name", FORMATS)
async def test_a_custom_tool_is_offered_called_answered_and_remembered(name: str) -> None:
    adapter, events = FORMATS[name]
    async with upstream(streaming(events)) as server:
        app = application(adapter, server)
        async with app.lifespan(), openai_client(app) as client:
            asked: dict[str, Any] = {"model": "m", "tools": TOOLS}
            stream = await client.responses.create(input="Fix it.", stream=True, **asked)
            heard = [event async for event in stream]
            check_event_order([event.model_dump(exclude_unset=True) for event in heard])
            response = heard[-1].response  # type: ignore[union-attr]
            assert [item.type for item in response.output] == ["message", "custom_tool_call"]
            call = response.output[1]
            assert told(call) == CALLED
            deltas = [e.delta for e in heard if e.type == "response.custom_tool_call_input.delta"]
            assert "".join(deltas) == PATCH
            assert len(deltas) > 5 or name == "gemini"
            assert response.tools[0].type == "custom"
            kept = await client.responses.retrieve(response.id)
            assert told(kept.output[1]) == CALLED
            done: Any = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "ok"}
            again = await client.responses.create(
                input=[done], previous_response_id=response.id, **asked
            )
            assert told(again.output[1]) == CALLED
    first, second = (exchange.body.decode() for exchange in server.exchanges)
    assert "start: /.+/" in first
    assert '"custom"' not in first + second
    assert "*** Begin Patch" in second
    assert '"ok"' in second or '\\"ok\\"' in second


async def test_a_call_is_demanded_by_its_name() -> None:
    adapter, events = FORMATS["chat"]
    async with upstream(streaming(events)) as server:
        app = application(adapter, server)
        async with app.lifespan(), openai_client(app) as client:
            for choice in (
                {"type": "custom", "name": "patch"},
                {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "custom", "name": "patch"}],
                },
            ):
                answer: Any = await client.responses.create(
                    model="m", input="Fix it.", tools=TOOLS, tool_choice=choice
                )
                assert told(answer.output[1]) == CALLED
    forced = {"type": "function", "function": {"name": "patch"}}
    assert [exchange.json["tool_choice"] for exchange in server.exchanges] == [forced] * 2


# --- namespaces

SPACE: dict[str, Any] = {
    "type": "namespace",
    "name": "files.of",
    "description": "What is there.",
    "tools": [
        {"type": "function", "name": "look", "parameters": {"type": "object"}},
        {"type": "custom", "name": "patch"},
    ],
}
SPACE_NAMED = {"type": "namespace", "name": "files.of"}


def calling(*calls: tuple[str, str]) -> list[Any]:
    opened = [
        chunk({"tool_calls": [{"index": n, "id": f"call_{n}", "function": {"name": name}}]})
        for n, (name, _) in enumerate(calls)
    ]
    argued = [
        chunk({"tool_calls": [{"index": n, "function": {"arguments": arguments}}]})
        for n, (_, arguments) in enumerate(calls)
    ]
    each = [event for pair in zip(opened, argued, strict=True) for event in pair]
    return [*each, chunk({}, "tool_calls")]


async def test_tools_of_a_namespace_are_offered_under_names_of_both() -> None:
    events = calling(("files_of__look", "{}"), ("files_of__patch", ARGUMENTS), ("look", "{}"))
    later = streaming(calling(("files_of__look", "{}")))
    async with upstream(streaming(events), later) as server:
        app = application(ChatCompletions(GENERIC), server)
        async with app.lifespan(), openai_client(app) as client:
            tools: list[Any] = [SPACE, TOOLS[1]]
            first: Any = await client.responses.create(model="m", input="Look.", tools=tools)
            look, patch, plain = first.output
            assert (look.type, look.name, look.namespace) == ("function_call", "look", "files.of")
            assert (*told(patch), patch.namespace) == (*CALLED, "files.of")
            assert (plain.name, plain.to_dict().get("namespace")) == ("look", None)
            answers: list[Any] = [
                {"type": f"{call.type}_output", "call_id": call.call_id, "output": "ok"}
                for call in first.output
            ]
            only: Any = {"type": "allowed_tools", "mode": "auto", "tools": [SPACE_NAMED]}
            again: Any = await client.responses.create(
                model="m",
                input=answers,
                previous_response_id=first.id,
                tools=tools,
                tool_choice=only,
            )
            assert again.status == "completed"
    one, other = (exchange.json for exchange in server.exchanges)
    names = [tool["function"]["name"] for tool in one["tools"]]
    assert names == ["files_of__look", "files_of__patch", "look"]
    assert [tool["function"]["name"] for tool in other["tools"]] == names[:2]
    said = other["messages"][1]["tool_calls"]
    assert [call["function"]["name"] for call in said] == names


def test_a_namespace_is_demanded_whole() -> None:
    turn = Turn("m", (), tools=[SPACE, TOOLS[1]], tool_choice=SPACE_NAMED)
    plain = as_functions(turn, client_tools(turn, lambda _: False))
    assert (plain.choice, plain.forced_tool) == ("required", None)
    assert plain.callable_tools == {"files_of__look", "files_of__patch"}
    look = {**SPACE, "tools": SPACE["tools"][:1]}
    alone = Turn("m", (), tools=[look, TOOLS[1]], tool_choice=SPACE_NAMED)
    assert as_functions(alone, client_tools(alone, lambda _: False)).forced_tool == "files_of__look"


def test_a_tool_without_a_type_is_left_to_the_adapter() -> None:
    turn = Turn("m", (), tools=[{"name": "look"}, TOOLS[0]])
    found = client_tools(turn, lambda _: False)
    assert list(found) == ["patch"]
    assert as_functions(turn, found).tools[0] == {"name": "look"}


def test_what_an_upstream_knows_is_left_as_it_is() -> None:
    turn = Turn("m", (), tools=[SPACE, *TOOLS])
    assert client_tools(turn, lambda _: True) == {}
    known = client_tools(turn, lambda kind: kind == "namespace")
    assert [tool["type"] for tool in as_functions(turn, known).tools] == [
        "namespace",
        "function",
        "function",
    ]


ADDED = {"type": "additional_tools", "role": "developer", "tools": [SPACE]}
ASKED = {"type": "message", "role": "user", "content": []}


def test_tools_that_a_conversation_begins_with_are_offered_beside_the_others() -> None:
    turn = Turn("m", [Span([ADDED, ASKED]), Span([ADDED])], tools=TOOLS)
    plain = with_added_tools(turn, lambda _: False)
    assert plain.tools == [*TOOLS, SPACE]
    assert list(plain.items) == [ASKED, ADDED]
    assert with_added_tools(turn, lambda kind: kind == "additional_tools") is turn
    alone = with_added_tools(Turn("m", [Span([ADDED])]), lambda _: False)
    assert (alone.tools, alone.spans) == ([SPACE], [])


def test_long_names_are_told_apart() -> None:
    names = {ClientTool("function", name, "n" * 60).wire_name for name in ("look", "lock")}
    assert len(names) == 2
    assert {len(name) for name in names} == {64}


# --- how its input is read


def inputs(arguments: Sequence[str], *ends: Any) -> tuple[str, str, str]:
    """What the deltas say, what the end repeats, and the status."""
    calls = ClientCalls({"patch": ClientTool("custom", "patch")})
    deltas = [ToolCallStarted(0, "patch"), *(ToolCallDelta(0, piece) for piece in arguments), *ends]
    events = [each.event for each in calls.told(deltas) if isinstance(each, Canonical)]
    said = "".join(event["delta"] for event in events if event["type"].endswith(".delta"))
    *_, whole, item = events
    assert item["item"]["input"] == whole["input"]
    return said, whole["input"], item["item"]["status"]


@given(
    text=st.text(st.characters(codec="utf-8"), max_size=80),
    size=st.integers(1, 7),
    ascii=st.booleans(),
    spaced=st.booleans(),
)
def test_input_is_read_wherever_it_is_cut(text: str, size: int, ascii: bool, spaced: bool) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii, indent=1 if spaced else None)
    assert inputs(pieces(arguments, size), ItemFinished(0)) == (text, text, "completed")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", ""),
        ("{}", ""),
        ("{\t}", ""),
        ("*** Begin Patch", "*** Begin Patch"),
        ('{"patch": "x"}', '{"patch": "x"}'),
        ("x" * 200, "x" * 200),
        ('{"input": "a\\qb and more of it', "a\\qb and more of it"),
        ('{"input": "half \\ud83d"}', "half \ufffd"),
    ],
)
def test_what_is_no_input_is_taken_at_its_word(arguments: str, text: str) -> None:
    assert inputs([arguments], Stopped()) == (text, text, "completed")
    assert inputs(list(arguments), Stopped()) == (text, text, "completed")


def test_a_call_that_was_cut_short_is_incomplete() -> None:
    ends = inputs(['{"input": "all of \\ud8'], Stopped("max_output_tokens"))
    assert ends == ("all of ", "all of ", "incomplete")
