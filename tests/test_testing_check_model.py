"""CheckModel's answers follow from the turn it is asked, and change with it."""

import base64
import json
import struct
import time
import zlib
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from responses_mw.deltas import (
    ItemFinished,
    NativeTurn,
    ReasoningDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from responses_mw.errors import UnsupportedByProvider, UpstreamRefused
from responses_mw.testing import CheckModel, check_event_order
from responses_mw.testing.check_model import answer
from responses_mw.testing.play import assemble
from responses_mw.turn import Span, Turn

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}
TIME = {"type": "function", "name": "getTime", "parameters": None}
LONG = "Write an essay of at least 300 words about lighthouses."


def asked(*items: Any, **options: Any) -> Turn:
    """Strings are messages, of the user and the assistant in turn, the user's last."""
    strings = sum(isinstance(item, str) for item in items)
    spans = []
    for item in items:
        if isinstance(item, str):
            role = "user" if strings % 2 else "assistant"
            strings -= 1
            spans.append(Span([{"type": "message", "role": role, "content": [part(item)]}]))
        else:
            spans.append(item if isinstance(item, Span) else Span([item]))
    return Turn(model="check", spans=spans, **options)


def part(text: str) -> dict[str, str]:
    return {"type": "input_text", "text": text}


def text(turn: Turn) -> str:
    return "".join(delta.text for delta in answer(turn) if isinstance(delta, TextDelta))


def calls(turn: Turn) -> dict[str, Any]:
    """Name and arguments of each call."""
    found: dict[Any, tuple[str, list[str]]] = {}
    for delta in answer(turn):
        if isinstance(delta, ToolCallStarted):
            found[delta.key] = (delta.name, [])
        elif isinstance(delta, ToolCallDelta):
            found[delta.key][1].append(delta.arguments)
    return {name: json.loads("".join(pieces)) for name, pieces in found.values()}


def of(kind: type[Any], turn: Turn) -> list[Any]:
    return [delta for delta in answer(turn) if isinstance(delta, kind)]


# --- text and memory


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["Reply with the number 6."], "6."),
        (["The code word is cobalt. Reply with OK."], "OK."),
        (["Say hello in exactly 3 words."], "Hello and welcome."),
        (["Count from 3 to 5."], "3, 4, 5"),
        (["Count from 1 to 3, one number per line."], "1\n2\n3"),
        (["How many r are in strawberry?"], "r is 3 times in strawberry."),
        (["How many r are in strawberry?", "3.", "And in pear?"], "r is 1 times in pear."),
        (["The number is four.", "Yes.", "Repeat only the number."], "four"),
        (["The code word is ember. Repeat it."], "The code word is ember."),
        (["Say hi.", "Hi.", "And again."], "Hi."),
        (["It rains."], "You said: It rains."),
        (["What did I say?"], "Nothing was said about that."),
        (["My name is Zoë.", "Hello.", "What is my name?"], "My name is Zoë."),
        (["We launch on Tuesday. Be quick.", "OK.", "When is launch?"], "We launch on Tuesday."),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_the_reply_follows_from_the_conversation(items: list[str], expected: str) -> None:
    assert text(asked(*items)) == expected


def test_everything_relevant_is_recalled_once_and_nothing_else() -> None:
    told = ["My dog is Rex. The sky is grey.", "My dog is Rex.", "My hat is teal.", "OK."]
    assert text(asked(*told, "List my belongings.")) == "My dog is Rex. My hat is teal."


@pytest.mark.parametrize("role", ["system", "developer"])
def test_capital_letters_are_used_when_a_rule_asks_for_them(role: str) -> None:
    rule = {"type": "message", "role": role, "content": [part("Answer in capital letters.")]}
    assert text(asked(rule, "Say hello.")) == "HELLO."
    assert text(asked("Say hello.", instructions="Use capital letters.")) == "HELLO."


def test_text_that_runs_out_of_tokens_is_cut() -> None:
    turn = asked(LONG, max_output_tokens=16)
    assert len(text(turn).split()) == 16
    assert of(Stopped, turn) == [Stopped("max_output_tokens")]
    assert len(text(asked(LONG)).split()) == 300
    assert of(Stopped, asked(LONG)) == [Stopped()]


def test_usage_grows_with_the_conversation() -> None:
    turns = [asked("a b"), asked("a b", "c", "d e"), asked("a b", instructions="x y")]
    assert [of(UsageReported, turn)[0].input_tokens for turn in turns] == [2, 5, 4]


def test_logprobs_come_with_every_token() -> None:
    deltas = of(TextDelta, asked("Say hello in exactly 2 words.", logprobs=True, top_logprobs=2))
    assert [delta.logprobs[0]["token"] for delta in deltas] == ["Hello", " and."]
    assert [len(delta.logprobs[0]["top_logprobs"]) for delta in deltas] == [2, 2]
    assert all(not delta.logprobs for delta in of(TextDelta, asked("Say hi.")))


async def test_long_answers_take_time_and_short_ones_do_not() -> None:
    took = []
    for question in ("Say hi.", LONG):
        start = time.perf_counter()
        assert [d async for d in CheckModel(pause=0.001).stream(asked(question))]
        took.append(time.perf_counter() - start)
    assert took[0] < took[1] / 2
    assert took[1] > 0.25


# --- formats


def test_a_schema_is_answered_with_an_instance() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 1}, "tags": {"type": "array"}},
        "required": ["age", "tags"],
    }
    turn = asked("Invent.", text_format={"type": "json_schema", "name": "x", "schema": schema})
    Draft202012Validator(schema).validate(json.loads(text(turn)))


def test_a_schema_out_of_reach_is_refused_by_name() -> None:
    schema = {"type": "string", "pattern": "x"}
    turn = asked("Invent.", text_format={"type": "json_schema", "name": "x", "schema": schema})
    with pytest.raises(UnsupportedByProvider) as refused:
        text(turn)
    assert refused.value.param == "text.format.schema"


def test_a_json_object_has_the_key_that_was_asked_for() -> None:
    turn = asked("Reply with an object with key `done`.", text_format={"type": "json_object"})
    assert json.loads(text(turn)) == {"done": True}


# --- pictures


def png(colour: tuple[int, ...], kind: int = 2) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, kind, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + bytes(colour)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def shown(url: str) -> str:
    content = [part("Which colour is it?"), {"type": "input_image", "image_url": url}]
    return text(asked({"type": "message", "role": "user", "content": content}))


def data_url(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def test_the_colour_of_a_picture_is_seen() -> None:
    assert shown(data_url(png((250, 10, 10)))) == "Red."
    assert shown(data_url(png((10, 10, 250, 255), kind=6))) == "Blue."


@pytest.mark.parametrize(
    "url",
    ["data:image/png;base64,!", data_url(b"GIF89a"), data_url(png((1,), kind=0)), "https://x.org"],
)
def test_a_picture_that_cannot_be_seen_is_said(url: str) -> None:
    assert "cannot read" in shown(url) or "do not fetch" in shown(url)


# --- tools


def test_a_tool_is_called_when_the_question_is_about_it() -> None:
    tools = [WEATHER, TIME]
    assert calls(asked("What is the weather in San Francisco?", tools=tools)) == {
        "get_weather": {"location": "San Francisco"}
    }
    assert calls(asked("Say hello.", tools=tools)) == {}


def test_tools_are_called_in_parallel_only_where_that_is_allowed() -> None:
    question = "Weather and time in Rome?"
    both = asked(question, tools=[WEATHER, TIME])
    one = asked(question, tools=[WEATHER, TIME], parallel_tool_calls=False)
    assert list(calls(both)) == ["get_weather", "getTime"]
    assert list(calls(one)) == ["get_weather"]


def test_tool_choice_is_obeyed() -> None:
    tools = [WEATHER, TIME]
    question = "What is the weather in Rome?"
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{**TIME}]}
    forced = {"type": "function", "name": "getTime"}
    assert calls(asked(question, tools=tools, tool_choice="none")) == {}
    assert list(calls(asked(question, tools=tools, tool_choice=forced))) == ["getTime"]
    assert calls(asked(question, tools=tools, tool_choice=allowed)) == {}
    assert list(calls(asked("Hi.", tools=tools, tool_choice="required"))) == ["get_weather"]


def test_a_tool_output_is_answered_with_text() -> None:
    call = {"type": "function_call", "name": "get_weather", "arguments": "{}", "call_id": "c"}
    output = {"type": "function_call_output", "call_id": "c", "output": [part("18 degrees")]}
    turn = asked("What is the weather?", call, output, tools=[WEATHER])
    assert calls(turn) == {}
    assert text(turn) == "The tool answered: 18 degrees"


# --- reasoning


def test_reasoning_is_shown_only_with_a_summary() -> None:
    hidden = asked("Why?", reasoning_effort="low")
    visible = asked("Why?", reasoning_effort="low", reasoning_summary="auto")
    assert of(ReasoningDelta, hidden) == [ReasoningDelta("")]
    assert "Why?" in "".join(delta.text for delta in of(ReasoningDelta, visible))
    assert of(ReasoningDelta, asked("Why?", reasoning_effort="none")) == []
    assert of(UsageReported, hidden)[0].reasoning_tokens > 0


def test_a_thought_comes_back_signed_and_is_refused_when_it_was_altered() -> None:
    turn = asked("Why?", reasoning_effort="low")
    (native,) = of(NativeTurn, turn)
    assert of(ItemFinished, turn)[0].native == native
    assert text(asked(Span([], native), "Say hi.")) == "Hi."
    altered = NativeTurn(native.scope, {**native.state, "thought": "Because."})
    with pytest.raises(UpstreamRefused) as refused:
        text(asked(Span([], altered), "Say hi."))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "turn",
    [
        asked("Say hi."),
        asked("Weather and time in Rome?", tools=[WEATHER, TIME], reasoning_effort="low"),
        asked(LONG, max_output_tokens=20, reasoning_effort="high", reasoning_summary="auto"),
        asked("Say hi.", logprobs=True, top_logprobs=3),
    ],
    ids=["text", "calls", "reasoning", "logprobs"],
)
def test_its_answers_assemble_in_order_and_never_change(turn: Turn) -> None:
    events = assemble(answer(turn), now=lambda: 0)
    check_event_order(events)
    assert events == assemble(answer(turn), now=lambda: 0)
