"""The log of `serve`: lines of turns, many at once, and what is in them."""

import asyncio
import contextlib
import io
import json
import logging
import logging.handlers
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from responses_mw.app import ResponsesApp
from responses_mw.batch import drain_all
from responses_mw.deltas import UsageReported
from responses_mw.records import Attempt, Caller, TurnRecord
from responses_mw.telemetry.log import JSONLines, Rows, TextLines, TurnLines, TurnLog, turn_log
from responses_mw.testing import EchoProvider, openai_client
from responses_mw.watch import Watch
from stores import MemoryStore


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


def ended() -> TurnRecord:
    now = time.monotonic()
    record = TurnRecord(
        *("resp_1", Caller("o", tags=("a",)), "m", 1.0, now - 0.5),
        stored=True,
        streamed=True,
        background=False,
        usage=UsageReported(3, 4),
        cost_nano=1_500_000,
    )
    record.status, record.ended_s = "completed", now
    record.attempts = [
        Attempt("a", now - 0.5, now - 0.4, "x"),
        Attempt("a", now - 0.4, now - 0.3, "x"),
        Attempt("b", now - 0.3, now),
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


async def test_lines_of_turns_wait_for_a_moment_and_others_bring_them_along(
    written: io.StringIO,
) -> None:
    with alone():
        log = Watch([turn_log()]).ended[0]
        log(ended())
        log(ended())
        silent = written.getvalue()
        logging.getLogger("elsewhere").warning("three %s", "bad")
        log(ended())
        said = written.getvalue()
        async with asyncio.timeout(10):
            while written.getvalue() == said:
                await asyncio.sleep(0.01)

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert silent == ""
    assert len(said.splitlines()) == 3
    assert [line["message"] for line in lines] == [
        *("resp_1 completed", "resp_1 completed", "three bad", "resp_1 completed")
    ]


async def test_the_last_lines_are_written_at_shutdown(written: io.StringIO) -> None:
    with alone():
        app = ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()})
        async with app.lifespan(), openai_client(app) as client:
            answer = await client.responses.create(model="m", input="Hi.")

    [line] = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (line["response_id"], line["status"]) == (answer.id, "completed")
    assert abs(datetime.fromisoformat(line["time"]).timestamp() - time.time()) < 60


async def test_a_turn_reads_the_same_where_no_event_is_made(written: io.StringIO) -> None:
    record, heard = ended(), logging.handlers.BufferingHandler(9)
    with alone():
        alike = turn_log()
        watch = Watch([alike])
        told = watch.ended[0]
        told(record)
        drain_all()
        first = written.getvalue()
        logging.getLogger().addHandler(heard)
        told(record)
        drain_all()

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert isinstance(alike, TurnLines)
    assert first.count("\n") == 1
    assert [event.getMessage() for event in heard.buffer] == ["resp_1 completed"]
    times = [datetime.fromisoformat(line.pop("time")).timestamp() for line in lines]
    assert abs(times[0] - times[1]) < 1
    assert abs(times[0] - time.time()) < 5
    assert lines[0] == lines[1]
    assert list(lines[0]) == list(lines[1])
    assert lines[0]["logger"] == "responses_mw.turns"
    assert (lines[0]["retries"], lines[0]["fallbacks"], lines[0]["cost"]) == (1, 1, 0.0015)


def test_hosts_that_listen_hear_at_once(written: io.StringIO) -> None:
    heard = logging.handlers.BufferingHandler(9)
    with alone():
        logging.getLogger().addHandler(heard)
        log = turn_log()
        log.on_end(ended())

    assert isinstance(log, TurnLog)
    assert len(heard.buffer) == 1
    assert json.loads(written.getvalue())["response_id"] == "resp_1"


def test_what_somebody_adds_to_events_is_in_the_line_of_a_turn(written: io.StringIO) -> None:
    def traced(*args: Any, **kwargs: Any) -> logging.LogRecord:
        event = logging.LogRecord(*args, **kwargs)
        event.trace_id = "1f"
        return event

    with alone():
        logging.setLogRecordFactory(traced)
        TurnLines().on_ended([ended()])
        logging.setLogRecordFactory(logging.LogRecord)

    assert json.loads(written.getvalue())["trace_id"] == "1f"


def test_a_handler_with_a_filter_is_asked_for_each_turn(written: io.StringIO) -> None:
    with alone() as rows:
        rows.addFilter(lambda event: vars(event)["status"] != "completed")
        TurnLines().on_ended([ended()])

    assert written.getvalue() == ""


@pytest.mark.parametrize("log", [TurnLog(), TurnLines()])
def test_a_level_silences_the_log(written: io.StringIO, log: TurnLog | TurnLines) -> None:
    logging.getLogger("responses_mw.turns").setLevel(logging.WARNING)
    with alone():
        log.on_end(ended())
        log.on_ended([ended()])

    assert written.getvalue() == ""


async def test_people_read_when_a_turn_ended_not_when_it_was_written(written: io.StringIO) -> None:
    record = ended()
    done = datetime.now().astimezone()
    await asyncio.sleep(0.05)
    with alone() as rows:
        rows.setFormatter(TextLines())
        TurnLines().on_ended([record])

    told = datetime.strptime(written.getvalue()[:23], "%Y-%m-%d %H:%M:%S,%f").astimezone()
    assert told <= done
    assert " INFO responses_mw.turns: resp_1 completed owner=o" in written.getvalue()


def test_a_log_that_nobody_reads_any_more_stops_no_response() -> None:
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    handler = Rows()
    handler.setStream(io.StringIO())
    handler.stream = closed
    handler.setFormatter(JSONLines())
    handler.write([(ended(), time.time())])
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
