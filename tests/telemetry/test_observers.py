"""Who is told of what."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from responses_mw.app import ResponsesApp
from responses_mw.batch import MOST
from responses_mw.records import Observer, TurnRecord
from responses_mw.telemetry.log import TurnLog
from responses_mw.testing import EchoProvider, openai_client
from responses_mw.watch import Watch
from stores import MemoryStore


class Ends(Observer):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_end(self, record: TurnRecord) -> None:
        self.seen.append(f"ended {record.status}")


class All(Ends):
    def on_start(self, record: TurnRecord) -> None:
        self.seen.append(f"started {record.status}")

    def on_first_delta(self, record: TurnRecord) -> None:
        self.seen.append("heard")


async def test_an_observer_says_what_it_does_and_no_more() -> None:
    ends, everything = Ends(), All()
    observers = [ends, everything]
    app = ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()}, observers=observers)
    async with app.lifespan(), openai_client(app) as client:
        await client.responses.create(model="m", input="Hi.")
    assert ends.seen == ["ended completed"]
    assert everything.seen == ["started in_progress", "heard", "ended completed"]


def test_nobody_is_asked_who_does_nothing() -> None:
    everything, log = All(), TurnLog()
    watch = Watch([log, everything])
    assert watch.all == (log, everything)
    assert (watch.started, watch.heard) == ([everything.on_start], [everything.on_first_delta])
    assert watch.ended == [log.on_end, everything.on_end]


class Rows(Observer):
    """Told later, and not at all at the moments themselves."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def on_ended(self, records: Sequence[TurnRecord]) -> None:
        self.seen.append([record.status for record in records])


class Stranger:
    """Has the methods of an observer, and never heard of `on_ended`."""

    def __init__(self) -> None:
        self.ends = 0

    def on_start(self, record: TurnRecord) -> None: ...

    def on_first_delta(self, record: TurnRecord) -> None: ...

    def on_end(self, record: TurnRecord) -> None:
        self.ends += 1


async def test_many_ends_are_told_at_once_and_the_last_ones_at_shutdown() -> None:
    rows, stranger = Rows(), Stranger()
    observers: Any = [rows, stranger]
    app = ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()}, observers=observers)
    async with app.lifespan(), openai_client(app) as client:
        for _ in range(MOST + 3):
            await client.responses.create(model="m", input="Hi.", store=False)
    assert [status for row in rows.seen for status in row] == ["completed"] * (MOST + 3)
    assert len(rows.seen) < MOST
    assert max(len(row) for row in rows.seen) <= MOST
    assert stranger.ends == MOST + 3


class Broken(Observer):
    def on_start(self, record: TurnRecord) -> None:
        raise ValueError("start")

    def on_first_delta(self, record: TurnRecord) -> None:
        raise ValueError("delta")

    def on_end(self, record: TurnRecord) -> None:
        raise ValueError("end")

    def on_ended(self, records: Sequence[TurnRecord]) -> None:
        raise ValueError("ended")


async def test_what_an_observer_raises_stops_neither_response_nor_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ends, rows = All(), Rows()
    observers = [Broken(), ends, rows]
    app = ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()}, observers=observers)
    async with asyncio.timeout(10), app.lifespan(), openai_client(app) as client:
        for _ in range(2):
            answer = await client.responses.create(model="m", input="Hi.")
            assert answer.output_text == "user: Hi."
    assert ends.seen == ["started in_progress", "heard", "ended completed"] * 2
    assert [status for row in rows.seen for status in row] == ["completed"] * 2
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert told == [
        "Broken.on_start raised (observers: 1 so far)",
        "Broken.on_first_delta raised (observers: 2 so far)",
        "Broken.on_start raised (observers: 4 so far)",
    ]
