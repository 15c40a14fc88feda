"""Two recorded steps of one conversation, and how the second request is made here from the first
answer: decoded, assembled, stored, read back and encoded.

All of it goes through the application, as a client would ask it; how the messages of a format are
read is in `loop_formats.py`.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import dropwhile, groupby
from typing import Any

from cases import SHARED, Recording, recorded
from loop_formats import FORMATS, PREVIOUS, Entry, Format

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, Stopped, TextDelta
from responses_mw.router import Provider
from responses_mw.settings import Settings
from responses_mw.testing import openai_client
from responses_mw.turn import Turn
from stores import SessionStore

UNCACHED = Settings(history_cache_bytes=0)
"""Every history is read from the store."""


@dataclass(frozen=True)
class Loop:
    """`first` was answered, and `then` was sent with that answer in its history."""

    first: Recording
    then: Recording
    format: Format

    def __str__(self) -> str:
        return self.then.id


@dataclass(frozen=True)
class Rebuilt:
    """What was really sent, and what our adapter makes of the stored conversation."""

    sent: list[Entry]
    made: list[Entry]
    body: dict[str, Any]


def pairs() -> list[tuple[str, str]]:
    """The ids that `loops.json` names."""
    if SHARED is None:
        return []
    found = json.loads((SHARED / "recordings" / "loops.json").read_bytes())
    return [(pair["first"], pair["next"]) for pair in found]


def loops() -> list[Loop]:
    """One for each format that speaks it, so that none is proved twice or not at all."""
    by_id = {recording.id: recording for recording in recorded()}
    return [
        Loop(by_id[first], by_id[then], format)
        for first, then in pairs()
        for format in FORMATS
        if format.speaks(by_id[first])
    ]


async def rebuild(loop: Loop, store: SessionStore) -> Rebuilt:
    format, adapter = loop.format, loop.format.adapter(loop.first, loop.then)
    assert loop.first.request
    assert loop.then.request
    before, sent = format.history(loop.first.request), format.history(loop.then.request)
    told, said = turns_of(before, format)
    after = sent if sent[0].get("type") == PREVIOUS else sent[len(before) :]
    told.append(list(dropwhile(format.is_answer, after)))
    provider = Replaying(
        *(lambda turn, past=past: format.said(past, adapter.scope(turn)) for past in said),
        lambda turn: format.deltas(adapter, loop.first, turn),
        lambda turn: [TextDelta("The end."), Stopped()],
    )
    await _told(loop, told, provider, store)
    body = adapter.encode(provider.turns[-1]).body
    return Rebuilt(sent, format.history(body), body)


async def _told(
    loop: Loop, told: Sequence[Sequence[Entry]], provider: Provider, store: SessionStore
) -> None:
    """A conversation with an application, in the way that the first request was made."""
    model = loop.format.model(loop.first)
    app = ResponsesApp(store=store, models={model: provider}, settings=UNCACHED)
    async with app.lifespan(), openai_client(app) as client:
        last, calls = None, list[str]()
        for entries in told:
            response = await client.responses.create(
                model=model,
                input=list(loop.format.items(entries, calls)),
                previous_response_id=last,
                stream=loop.first.streamed,
            )
            if loop.first.streamed:
                response = [event async for event in response][-1].response
            assert response.status == "completed"
            last = response.id
            calls += [item.call_id for item in response.output if item.type == "function_call"]


class Replaying:
    """A provider that gives one answer to each turn, and keeps the turns."""

    def __init__(self, *answers: Callable[[Turn], Iterable[Delta]]) -> None:
        self.turns: list[Turn] = []
        self._answers = answers

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        self.turns.append(turn)
        for delta in self._answers[len(self.turns) - 1](turn):
            yield delta


def turns_of(
    history: Sequence[Entry], format: Format
) -> tuple[list[list[Entry]], list[list[Entry]]]:
    """What clients told, the first request's last, and what was said in between."""
    told, said = list[list[Entry]](), list[list[Entry]]()
    for answer, entries in groupby(history, format.is_answer):
        (said if answer else told).append(list(entries))
    assert len(told) == len(said) + 1
    return told, said
