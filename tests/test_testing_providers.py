"""The scripted and the echoing provider say what they were given."""

import asyncio
import contextlib
from typing import Any

import pytest

from responses_mw.deltas import Delta, Stopped, TextDelta, UsageReported
from responses_mw.errors import UpstreamTimeout
from responses_mw.testing import EchoProvider, OutOfAnswers, ScriptedProvider
from responses_mw.turn import Span, Turn


def turn(*items: dict[str, Any], **options: Any) -> Turn:
    return Turn(model="test", spans=[Span(items)], **options)


def message(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


async def said(provider: Any, asked: Turn) -> list[Delta]:
    return [delta async for delta in provider.stream(asked)]


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


async def test_a_string_is_said_word_by_word_with_usage() -> None:
    deltas = await said(ScriptedProvider("Hello there,\nyou. "), turn(message("user", "Hi you")))
    assert deltas == [
        TextDelta("Hello"),
        TextDelta(" there,"),
        TextDelta("\nyou. "),
        UsageReported(input_tokens=2, output_tokens=3),
        Stopped(),
    ]


async def test_deltas_are_said_as_they_are() -> None:
    deltas = [TextDelta("a"), Stopped("content_filter")]
    assert await said(ScriptedProvider(deltas), turn()) == deltas


async def test_each_turn_gets_the_next_answer_and_is_kept() -> None:
    provider = ScriptedProvider("one", "two")
    turns = [turn(message("user", "a")), turn(message("user", "b"))]
    assert [text(await said(provider, asked)) for asked in turns] == ["one", "two"]
    assert provider.turns == turns


async def test_an_exception_is_raised_before_the_first_delta() -> None:
    stream = ScriptedProvider(UpstreamTimeout("too slow")).stream(turn())
    with pytest.raises(UpstreamTimeout):
        await anext(stream)


async def test_an_exception_is_raised_where_it_stands() -> None:
    script = [TextDelta("a"), UpstreamTimeout("too slow"), TextDelta("b")]
    stream = ScriptedProvider(script).stream(turn())
    assert await anext(stream) == TextDelta("a")
    with pytest.raises(UpstreamTimeout):
        await anext(stream)


async def test_a_number_is_slept_and_an_event_waited_for() -> None:
    go = asyncio.Event()
    stream = ScriptedProvider([0.001, TextDelta("a"), go, TextDelta("b")]).stream(turn())
    assert await anext(stream) == TextDelta("a")
    waiting = asyncio.ensure_future(anext(stream))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.01)
    assert not waiting.done()
    go.set()
    assert await waiting == TextDelta("b")


async def test_a_turn_too_many_says_how_many_answers_there_were() -> None:
    provider = ScriptedProvider("one")
    await said(provider, turn())
    with pytest.raises(OutOfAnswers, match="turn 2 was asked, but the test gave 1 answers"):
        await said(provider, turn())
    assert issubclass(OutOfAnswers, AssertionError)


async def test_echo_answers_one_line_per_item() -> None:
    items = [
        message("developer", "Be brief."),
        message("user", "Weather?"),
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Rome, then."}]},
        {"type": "function_call", "name": "weather", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "18"},
        message("assistant", "18 degrees."),
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "And "},
                {"type": "input_image", "image_url": "data:"},
            ],
        },
    ]
    assert text(await said(EchoProvider(), turn(*items))).split("\n") == [
        "developer: Be brief.",
        "user: Weather?",
        "reasoning: Rome, then.",
        "function_call: weather {}",
        "function_call_output: 18",
        "assistant: 18 degrees.",
        "user: And [input_image]",
    ]


async def test_echo_counts_more_input_for_a_longer_history() -> None:
    short = await said(EchoProvider(), turn(message("user", "a b")))
    long = await said(EchoProvider(), turn(message("user", "a b"), message("user", "c d e")))
    tokens = [d.input_tokens for d in (*short, *long) if isinstance(d, UsageReported)]
    assert tokens == [2, 5]
