"""A deterministic model for black-box checks of a server: every capability, no weights, no I/O.

How it says things lives here (calls, schemas, reasoning, length, pace); what it says, in `replies`.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from responses_mw.deltas import (
    Delta,
    ItemFinished,
    NativeTurn,
    ReasoningDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.errors import UnsupportedByProvider, UpstreamRefused
from responses_mw.testing.instances import instance_of
from responses_mw.testing.providers import count_input, words
from responses_mw.testing.replies import Conversation, content_words, conversation, reply
from responses_mw.turn import Span, Turn

_SCOPE = "check-model"
_PLACE = re.compile(r"\b(?:in|at|for|of) ((?:[A-Z]\w+)(?: [A-Z]\w+)*)")
_ARGUMENTS_AT_ONCE = 8


class CheckModel:
    """Long answers take their time, so that there is something to cancel: `pause` seconds for every
    word after the first `at_once`.

    Its reasoning is signed as real ones are: a thought that comes back altered is refused.
    """

    def __init__(self, *, pause: float = 0.005, at_once: int = 48) -> None:
        self._pause = pause
        self._at_once = at_once

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        said = 0
        for delta in answer(turn):
            if isinstance(delta, TextDelta):
                said += 1
                if said > self._at_once:
                    await asyncio.sleep(self._pause)
            yield delta


def answer(turn: Turn) -> Iterator[Delta]:
    """The same turn is always answered with the same deltas."""
    _check_thoughts(turn)
    talk = conversation(turn)
    yield UpstreamInfo(model=turn.model)
    thought = _thought(turn, talk)
    if thought is not None:
        yield from _think(thought, turn)
    calls = _calls(turn, talk)
    if calls:
        pieces = [piece for call in calls for piece in call]
        stopped = Stopped()
    else:
        pieces, stopped = _message(turn, talk)
    yield from pieces
    if thought is not None:
        yield _signed(thought)
    reasoning = 0 if thought is None else len(words(thought))
    yield UsageReported(
        input_tokens=count_input(turn),
        output_tokens=reasoning + len(pieces),
        reasoning_tokens=reasoning,
    )
    yield stopped


# --- text


def _message(turn: Turn, talk: Conversation) -> tuple[list[Delta], Stopped]:
    pieces = words(_text(turn, talk))
    limit = turn.max_output_tokens
    cut = limit is not None and len(pieces) > limit
    logprobs = turn.top_logprobs or 0
    said: list[Delta] = [
        TextDelta(piece, [_logprob(piece, logprobs)] if turn.logprobs else ())
        for piece in pieces[:limit]
    ]
    return said, Stopped("max_output_tokens" if cut else "stop")


def _text(turn: Turn, talk: Conversation) -> str:
    if turn.text_format is None:
        return reply(talk)
    if turn.text_format["type"] == "json_object":
        key = re.search(r"`(\w+)`", talk.question)
        return json.dumps({key[1] if key else "ok": True})
    try:
        return json.dumps(instance_of(turn.text_format["schema"]))
    except ValueError as error:
        raise UnsupportedByProvider(str(error), param="text.format.schema") from error


def _logprob(token: str, alternatives: int) -> dict[str, Any]:
    """Fairly sure of the token; the alternatives, itself first, grow less and less likely."""
    others = [token, *(f"{token}{n}" for n in range(1, alternatives))][:alternatives]
    top = [_chance(other, -0.1 - 2 * n) for n, other in enumerate(others)]
    return {**_chance(token, -0.1), "top_logprobs": top}


def _chance(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


# --- tools


def _calls(turn: Turn, talk: Conversation) -> list[list[Delta]]:
    if turn.choice == "none" or (talk.tool_outputs and turn.choice == "auto"):
        return []
    functions = [tool for tool in turn.offered_tools if tool["type"] == "function"]
    if turn.forced_tool is not None:
        chosen = [tool for tool in functions if tool["name"] == turn.forced_tool]
    else:
        asked = content_words(talk.question)
        chosen = [tool for tool in functions if _named_words(tool) & asked]
        if turn.choice == "required":
            chosen = chosen or functions[:1]
    if not turn.parallel_tool_calls:
        chosen = chosen[:1]
    return [_call(key, tool, talk) for key, tool in enumerate(chosen)]


def _named_words(tool: Mapping[str, Any]) -> set[str]:
    return content_words(re.sub(r"[_-]|(?<=[a-z])(?=[A-Z])", " ", tool["name"]))


def _call(key: int, tool: Mapping[str, Any], talk: Conversation) -> list[Delta]:
    """The call, its arguments in pieces."""
    place = _PLACE.search(talk.question)
    try:
        made = instance_of(tool.get("parameters") or {}, text=place[1] if place else "example")
    except ValueError as error:
        raise UnsupportedByProvider(str(error), param="tools") from error
    text = json.dumps(made)
    starts = range(0, len(text), _ARGUMENTS_AT_ONCE)
    pieces = [ToolCallDelta(key, text[start : start + _ARGUMENTS_AT_ONCE]) for start in starts]
    return [ToolCallStarted(key, tool["name"]), *pieces, ItemFinished(key)]


# --- reasoning


def _thought(turn: Turn, talk: Conversation) -> str | None:
    if turn.reasoning_effort in (None, "none"):
        return None
    return f"The question is: {talk.question} {len(talk.earlier)} items came before it."


def _think(thought: str, turn: Turn) -> Iterator[Delta]:
    """Shown if a summary was asked for; else there is only the item, for its signature."""
    for piece in words(thought) if turn.reasoning_summary is not None else [""]:
        yield ReasoningDelta(piece)
    yield ItemFinished(native=_signed(thought))


def _signed(thought: str) -> NativeTurn:
    return NativeTurn(_SCOPE, {"thought": thought, "signature": _signature(thought)})


def _signature(thought: str) -> str:
    return hashlib.sha256(f"{_SCOPE}:{thought}".encode()).hexdigest()


def _check_thoughts(turn: Turn) -> None:
    for span in turn.replay(_SCOPE):
        if isinstance(span, Span) and span.native is not None:
            state = span.native.state
            if state["signature"] != _signature(state["thought"]):
                message = "a thought that came back is not the one that was signed"
                raise UpstreamRefused(message, status=400, type="invalid_request_error")
