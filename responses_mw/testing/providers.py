"""Providers that answer without a model: what a test scripts, or what they were sent."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from responses_mw.deltas import Delta, Stopped, TextDelta, UsageReported
from responses_mw.errors import ResponsesError
from responses_mw.turn import Turn

Step = Delta | Exception | float | asyncio.Event
"""What a scripted answer consists of: a delta is said, an exception raised, seconds slept, an event
waited for."""
Answer = str | Sequence[Step] | Exception


class OutOfAnswers(ResponsesError, AssertionError):
    """Of our own tree too, so that its message is what a client is told."""

    code = "out_of_answers"


class ScriptedProvider:
    """Gives its answers in turn, one for each turn it is asked, and keeps those turns in `turns`.

    A string is said word by word, with usage counted in words. An exception is raised before the
    first delta, or wherever it stands in a sequence. Asked more often than it has answers, it
    raises OutOfAnswers: the code under test made a call that the test did not foresee.
    """

    def __init__(self, *answers: Answer) -> None:
        self.turns: list[Turn] = []
        self._answers = answers

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        self.turns.append(turn)
        if len(self.turns) > len(self._answers):
            raise OutOfAnswers(
                f"turn {len(self.turns)} was asked, but the test gave {len(self._answers)} answers"
            )
        for step in _steps(self._answers[len(self.turns) - 1], turn):
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, int | float):
                await asyncio.sleep(step)
            else:
                yield step


class EchoProvider:
    """Answers with the history it was sent: a line `role: text` for each item, oldest first.

    Items other than messages are shown under their type, e.g. `function_call: get_weather {...}`.
    """

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        text = "\n".join(f"{label}: {text_of(item)}" for label, item in _labelled(turn))
        for delta in spoken(text, turn):
            yield delta


def text_of(item: Mapping[str, Any]) -> str:
    """What an item says, for people: the text of its parts, or the name of a part without text."""
    match item.get("type", "message"):
        case "message":
            return parts_text(item["content"])
        case "reasoning":
            return parts_text(item.get("summary") or [])
        case "function_call":
            return f"{item['name']} {item['arguments']}"
        case "function_call_output":
            return parts_text(item["output"])
        case _:
            return json.dumps(item, ensure_ascii=False)


def parts_text(content: str | Sequence[Mapping[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    said = (part.get("text", part.get("refusal", f"[{part['type']}]")) for part in content)
    return "".join(map(str, said))


def words(text: str) -> list[str]:
    """Cuts before every word but the first; joined again, nothing is lost."""
    return re.findall(r"\s*\S+\s*\Z|\s*\S+|\s+\Z", text)


def spoken(text: str, turn: Turn) -> Iterator[Delta]:
    """A text as a model would say it: word by word, its usage counted in words."""
    pieces = words(text)
    for piece in pieces:
        yield TextDelta(piece)
    yield UsageReported(input_tokens=count_input(turn), output_tokens=len(pieces))
    yield Stopped()


def count_input(turn: Turn) -> int:
    """Words of everything the turn carries; it grows with the conversation."""
    told = [turn.instructions or "", *(text_of(item) for item in turn.items)]
    tools = json.dumps(list(map(dict, turn.tools))) if turn.tools else ""
    return sum(len(text.split()) for text in (*told, tools))


def _steps(answer: Answer, turn: Turn) -> Iterator[Step]:
    if isinstance(answer, str):
        yield from spoken(answer, turn)
    elif isinstance(answer, Exception):
        yield answer
    else:
        yield from answer


def _labelled(turn: Turn) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in turn.items:
        yield str(item.get("role", item.get("type"))), item
