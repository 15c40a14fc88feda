"""What is put by: worked through in order, soon, all of it, and at once where nobody could wait."""

import asyncio
import io
import json
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from responses_mw.telemetry.batch import DELAY_S, MOST, Batch
from responses_mw.telemetry.log import JSONLines, Rows, TurnLog


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
