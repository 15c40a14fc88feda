"""A server that is told to end: what it began it finishes, to whomever and however it is told."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kills import events_of, talking, text_of
from live import Line, line
from victims import Nursery, Victim, answer_to, asking, nursery
from websockets.exceptions import InvalidStatus

SLOW = asking(30, pause_s=0.03)
DELTA = "response.output_text.delta"


@pytest.fixture
def born(tmp_path: Path) -> Iterator[Nursery]:
    with nursery(f"sqlite:///{tmp_path}/drained.db") as it:
        yield it


async def told_to_end(victim: Victim) -> None:
    """Returns when it has heeded."""
    os.kill(victim.pid, signal.SIGTERM)
    async with talking(victim) as http, asyncio.timeout(10):
        while (await http.get("/health/ready")).status_code != 503:
            await asyncio.sleep(0.01)


async def heard(socket: Line, kind: str) -> None:
    while (await socket.event())["type"] != kind:
        pass


async def test_a_stream_is_told_to_its_end_and_new_turns_are_sent_away(born: Nursery) -> None:
    victim = born.start()
    body = {"model": "paced", "input": SLOW, "stream": True}
    async with talking(victim) as http, http.stream("POST", "/responses", json=body) as answer:
        events = events_of(answer)
        while (await anext(events))["type"] != DELTA:
            pass
        await told_to_end(victim)
        refused = await http.post("/responses", json={"model": "paced", "input": SLOW})
        rest = [event async for event in events]
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert rest[-1]["type"] == "response.completed"
    assert await asyncio.to_thread(born.ended) in (0, -signal.SIGTERM)


async def test_a_socket_is_told_its_turn_to_the_end_and_closed(born: Nursery) -> None:
    victim = born.start()
    async with line(victim.address, "/v1/responses") as busy:
        async with line(victim.address, "/v1/responses") as idle:
            await busy.say(model="paced", input=SLOW)
            await busy.say(model="paced", input=SLOW)
            await heard(busy, DELTA)
            await told_to_end(victim)
            closing = await idle.event()
            assert await idle.closed() == 1001
        with pytest.raises(InvalidStatus) as refused:
            async with line(victim.address, "/v1/responses"):
                pass
        events = await busy.turn()
        closing_too = await busy.event()
        assert await busy.closed() == 1001
    assert refused.value.response.status_code == 503
    assert events[-1]["type"] == "response.completed"
    assert text_of(events[-1]["response"]) == answer_to([SLOW])
    for event in (closing, closing_too):
        assert (event["status"], event["error"]["code"]) == (503, "server_draining")
        assert event["error"]["headers"] == {"Retry-After": "1"}
    assert await asyncio.to_thread(born.ended) in (0, -signal.SIGTERM)


async def test_an_idle_server_ends_at_once(born: Nursery) -> None:
    victim = born.start()
    async with line(victim.address, "/v1/responses") as idle:
        await idle.answer(model="paced", input=asking(1))
        begun = time.monotonic()
        os.kill(victim.pid, signal.SIGTERM)
        await asyncio.to_thread(born.ended)
    assert time.monotonic() - begun < 3


async def test_background_work_is_finished_before_the_end(born: Nursery) -> None:
    victim = born.start()
    async with talking(victim) as http:
        body = {"model": "paced", "input": SLOW, "background": True}
        id = (await http.post("/responses", json=body)).json()["id"]
    os.kill(victim.pid, signal.SIGTERM)
    await asyncio.to_thread(born.ended)
    victim = born.start()
    async with talking(victim) as http:
        answer = (await http.get(f"/responses/{id}")).json()
    assert (answer["status"], text_of(answer)) == ("completed", answer_to([SLOW]))
