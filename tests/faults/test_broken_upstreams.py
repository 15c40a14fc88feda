"""However an upstream breaks: one end, the same in the stream and in the store, and nothing left
behind of its connections and tasks. In each wire format; in one of them, on each store.
"""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from breakage import (
    FAULTS,
    HEARD,
    Fault,
    bomb,
    drip,
    error_event,
    huge,
    reset,
    stalled,
    streamed,
    well,
)
from every_store import store, store_url
from kills import events_of
from live import live
from speeches import SPEECHES, Speech
from tally import Tried
from upstream import Exchange, Upstream, upstream

from responses_mw import ResponsesApp, Settings
from responses_mw.testing import check_event_order
from responses_mw.transport import HTTPProvider, Timeouts
from stores import SessionStore

__all__ = ["store", "store_url"]

READ_S = 0.5
TERMINAL = ("response.completed", "response.failed", "response.incomplete")
ENDED = ("completed", "failed", "incomplete")
SAID = "word0"
CUTS = 20
"""At random bytes, beside those between frames."""

PLACES = [
    *(("chat", kind) for kind in ("memory", "sqlite", "postgres")),
    *((name, "sqlite") for name in SPEECHES if name != "chat"),
]
everywhere = pytest.mark.parametrize(("speech", "store_url"), PLACES, indirect=True)


@pytest.fixture
def speech(request: pytest.FixtureRequest) -> Speech:
    return SPEECHES[request.param]


@dataclass
class Field:
    """An application whose only upstream answers with `fault`."""

    http: httpx.AsyncClient
    upstream: Upstream
    fault: Fault
    turns: int = 0

    async def turn(self, fault: Fault, *, stream: bool) -> Any:
        """The response it ended with, or None where an HTTP error said so before it began."""
        self.fault = fault
        self.turns += 1
        tool = {"type": "function", "name": "f", "parameters": {}, "strict": False}
        body = {"model": "m", "input": "hi", "stream": stream, "tools": [tool]}
        async with asyncio.timeout(20), self.http.stream("POST", "/responses", json=body) as answer:
            if answer.status_code != 200:
                error = orjson.loads(await answer.aread())["error"]
                assert answer.status_code in (500, 502, 503, 504), error
                assert set(error) == {"message", "type", "param", "code"}
                return None
            if stream:
                events = [event async for event in events_of(answer)]
                check_event_order(events)
                ends = [event for event in events if event["type"] in TERMINAL]
                assert ends == events[-1:]
                ended = ends[0]["response"]
            else:
                ended = orjson.loads(await answer.aread())
        assert ended["status"] in ENDED
        kept = await self.http.get(f"/responses/{ended['id']}")
        assert kept.json() == ended
        return ended


@pytest.fixture
async def field(speech: Speech, store: SessionStore, tried: Tried) -> AsyncIterator[Field]:
    async with upstream(lambda exchange: field.fault(exchange, speech)) as broken:
        provider = HTTPProvider(
            speech.adapter(), base_url=broken.url, timeouts=Timeouts(connect=1, read=READ_S)
        )
        settings = Settings(drain_s=1)
        app = ResponsesApp(store=store, models={"m": provider}, settings=settings)
        async with (
            live(app) as address,
            httpx.AsyncClient(base_url=f"http://{address}", timeout=30, trust_env=False) as http,
        ):
            field = Field(http, broken, well)
            for stream in (True, False):
                assert (await field.turn(well, stream=stream))["status"] == "completed"
            before = await at_rest()
            yield field
            tried("faults of upstreams", field.turns - 2)
            assert (await field.turn(well, stream=True))["status"] == "completed"
            for _ in range(100):
                after = await at_rest()
                if after[0] <= before[0] + 1 and after[1] <= before[1] + 2:
                    return
            pytest.fail(f"tasks and files were {before}, and are {after}")


async def at_rest() -> tuple[int, int]:
    await asyncio.sleep(0.05)
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


# --- what must hold


@everywhere
async def test_every_fault_has_one_end(field: Field) -> None:
    for fault in FAULTS:
        for stream in (True, False):
            ended = await field.turn(fault, stream=stream)
            if stream and fault is drip:
                assert ended["status"] == "completed"
            else:
                check_broken(ended, fault, stream=stream)


@pytest.mark.parametrize(
    ("speech", "store_url"), [("chat", "memory"), ("bedrock", "memory")], indirect=True
)
async def test_200_megabytes_are_not_waited_for(field: Field) -> None:
    for fault in (huge, bomb):
        for stream in (True, False):
            check_broken(await field.turn(fault, stream=stream), fault, stream=stream)


def check_broken(ended: Any, fault: Fault, *, stream: bool) -> None:
    if stream and fault in HEARD:
        assert ended is not None, fault
        assert ended["status"] == "failed", fault
        (said,) = [item for item in ended["output"] if item["type"] == "message"]
        assert said["content"][0]["text"].startswith(SAID), fault
    elif fault not in (reset, stalled, error_event):
        assert ended is None or ended["status"] == "failed", (fault, ended)


@everywhere
async def test_an_answer_cut_anywhere_has_one_end(field: Field, speech: Speech) -> None:
    dice = random.Random(7)
    ends = [len(b"".join(speech.frames[:n])) for n in range(len(speech.frames) + 1)]
    for cut in (*ends, *dice.sample(range(ends[-1]), CUTS)):

        async def shortened(exchange: Exchange, speech: Speech, cut: int = cut) -> None:
            await streamed(exchange, speech, speech.streamed[:cut])

        ended = await field.turn(shortened, stream=True)
        if ended is not None and cut <= ends[-1 - speech.closing]:
            assert ended["status"] == "failed", cut


@pytest.mark.parametrize(("speech", "store_url"), [("chat", "memory")], indirect=True)
async def test_a_refused_connection_is_told_before_a_byte(field: Field, speech: Speech) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    provider = HTTPProvider(speech.adapter(), base_url=f"http://127.0.0.1:{port}")
    app = ResponsesApp(store="memory://", models={"m": provider})
    async with live(app) as address:
        url = f"http://{address}/responses"
        answer = await field.http.post(url, json={"model": "m", "input": "hi", "stream": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unavailable")
