"""What is put by: worked through in order, soon, all of it, and at once where nobody could wait."""

import asyncio
import contextlib
import io
import json
import logging
import logging.handlers
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from responses_mw.deltas import UsageReported
from responses_mw.records import Attempt, Caller, TurnRecord
from responses_mw.telemetry.batch import DELAY_S, MOST, Batch
from responses_mw.telemetry.log import JSONLines, Rows, TextLines, TurnLog


class Worked(list[list[int]]):
    @property
    def all(self) -> list[int]:
        return [each for row in self for each in row]


@pytest.fixture
def worked() -> Worked:
    return Worked()


def test_without_an_event_loop_nothing_waits(worked: Worked) -> None:
    batch = Batch(worked.append)
    batch.add(1)
    batch.add(2)

    assert worked == [[1], [2]]


async def test_a_row_is_worked_through_when_it_is_full_asked_for_or_old(worked: Worked) -> None:
    batch = Batch(worked.append)
    for n in range(MOST + 3):
        batch.add(n)
    full = list(worked)
    batch.drain()
    batch.drain()
    asked = list(worked)
    batch.add(-1)
    waiting = list(worked)
    async with asyncio.timeout(10 * DELAY_S):
        while len(worked) == len(waiting):
            await asyncio.sleep(0.01)

    assert full == [list(range(MOST))]
    assert asked == waiting == [*full, [MOST, MOST + 1, MOST + 2]]
    assert worked.all == [*range(MOST + 3), -1]


def test_what_a_loop_left_behind_goes_with_the_next_one(worked: Worked) -> None:
    batch = Batch(worked.append)

    async def add(n: int, *, wait: bool) -> None:
        batch.add(n)
        if wait:
            await asyncio.sleep(2 * DELAY_S)

    asyncio.run(add(1, wait=False))
    asyncio.run(add(2, wait=True))

    assert worked == [[1, 2]]


def test_loops_in_several_threads_lose_nothing(worked: Worked) -> None:
    batch = Batch(worked.append)

    async def add(first: int) -> None:
        for n in range(first, first + 1000):
            batch.add(n)
            if n % 50 == 0:
                await asyncio.sleep(0)

    threads = [
        threading.Thread(target=lambda first=first: asyncio.run(add(first)))
        for first in range(0, 4000, 1000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batch.drain()

    assert sorted(worked.all) == list(range(4000))


# --- the log of `serve`


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Where `serve` would write; without a setting that outlives the test."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = Rows()
    handler.setStream(stream)
    handler.setFormatter(JSONLines())
    root.addHandler(handler)
    logging.getLogger("responses_mw.turns").setLevel(logging.INFO)
    yield stream
    logging.getLogger("responses_mw.turns").setLevel(logging.NOTSET)
    root.removeHandler(handler)


async def test_lines_of_turns_wait_for_a_moment_and_others_bring_them_along(
    written: io.StringIO,
) -> None:
    turns, others = logging.getLogger("responses_mw.turns"), logging.getLogger("elsewhere")
    turns.info("one")
    turns.info("two")
    silent = written.getvalue()
    began = time.time()
    others.warning("three %s", "bad")
    turns.info("four")
    await TurnLog().flush()

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert silent == ""
    assert [line["message"] for line in lines] == ["one", "two", "three bad", "four"]
    assert all(line["time"].startswith(time.strftime("%Y-", time.gmtime(began))) for line in lines)


def ended() -> TurnRecord:
    record = TurnRecord(
        *("resp_1", Caller("o", tags=("a",)), "m", 1.0, 2.0),
        stored=True,
        streamed=True,
        background=False,
        usage=UsageReported(3, 4),
        cost_nano=1_500_000,
    )
    record.status, record.ended_s = "completed", 2.5
    record.attempts = [
        Attempt("a", 2, 2.1, "x"),
        Attempt("a", 2.1, 2.2, "x"),
        Attempt("b", 2.2, 2.5),
    ]
    return record


@contextlib.contextmanager
def alone() -> Iterator[Rows]:
    """As in `serve`: nobody else is told of anything."""
    root = logging.getLogger()
    [rows] = [handler for handler in root.handlers if isinstance(handler, Rows)]
    before, root.handlers = root.handlers, [rows]
    yield rows
    root.handlers = before


async def test_a_turn_reads_the_same_where_no_event_is_made(written: io.StringIO) -> None:
    log, heard = TurnLog(), logging.handlers.BufferingHandler(9)
    with alone():
        log.on_end(ended())
        logging.getLogger().addHandler(heard)
        log.on_end(ended())
    with alone():
        log.on_end(ended())
    silent = written.getvalue()
    await log.flush()

    first, second, third = (json.loads(line) for line in written.getvalue().splitlines())
    assert silent == ""
    assert [record.getMessage() for record in heard.buffer] == ["resp_1 completed"]
    times = [
        datetime.fromisoformat(line.pop("time")).timestamp() for line in (first, second, third)
    ]
    assert times == sorted(times)
    assert abs(times[0] - time.time()) < 5
    assert first == second == third
    assert list(first) == list(second)
    assert first["logger"] == "responses_mw.turns"
    assert (first["retries"], first["fallbacks"], first["cost"]) == (1, 1, 0.0015)


async def test_what_somebody_adds_to_events_is_in_the_line_of_a_turn(written: io.StringIO) -> None:
    def traced(*args: Any, **kwargs: Any) -> logging.LogRecord:
        event = logging.LogRecord(*args, **kwargs)
        event.trace_id = "1f"
        return event

    with alone():
        logging.setLogRecordFactory(traced)
        TurnLog().on_end(ended())
        logging.setLogRecordFactory(logging.LogRecord)
    await TurnLog().flush()

    assert json.loads(written.getvalue())["trace_id"] == "1f"


async def test_a_handler_with_a_filter_is_asked_for_each_turn(written: io.StringIO) -> None:
    with alone() as rows:
        rows.addFilter(lambda event: vars(event)["status"] != "completed")
        TurnLog().on_end(ended())
    await TurnLog().flush()

    assert written.getvalue() == ""


async def test_people_read_when_a_turn_ended_not_when_it_was_written(written: io.StringIO) -> None:
    with alone() as rows:
        rows.setFormatter(TextLines())
        TurnLog().on_end(ended())
    done = datetime.now().astimezone()
    await asyncio.sleep(0.05)
    await TurnLog().flush()

    told = datetime.strptime(written.getvalue()[:23], "%Y-%m-%d %H:%M:%S,%f").astimezone()
    assert told <= done
    assert " INFO responses_mw.turns: resp_1 completed owner=o" in written.getvalue()


async def test_a_log_that_nobody_reads_any_more_stops_no_response() -> None:
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    handler = Rows()
    handler.setStream(io.StringIO())
    handler.stream = closed
    handler.emit(logging.makeLogRecord({"name": "responses_mw.turns", "msg": "one"}))

    handler.flush()


def test_a_time_is_told_to_the_millisecond() -> None:
    lines = JSONLines()
    record = logging.makeLogRecord({"msg": "x", "created": 1_700_000_000.9876})
    later = logging.makeLogRecord({"msg": "x", "created": 1_700_000_001.0004})

    times = [json.loads(lines.format(each))["time"] for each in (record, record, later)]

    assert times == [
        *["2023-11-14T22:13:20.987+00:00"] * 2,
        "2023-11-14T22:13:21.000+00:00",
    ]
