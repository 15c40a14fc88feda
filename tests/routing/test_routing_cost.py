"""What a turn costs the router, counted in calls: time is measured by `benchmarks.routing`."""

import asyncio
import sys
from dataclasses import fields, replace
from types import FrameType
from typing import Any

import pytest
from cases import REPOSITORY
from routed import turn

from benchmarks.routing import WAYS, Way, routed
from responses_mw.routing.patience import OutOfPatience, Patience

OURS = str(REPOSITORY / "responses_mw" / "rout")
MOST = 60
"""Of Python's own functions, each of which takes about a fourth of a microsecond. Whoever needs
more should see what `python -m benchmarks.routing` says to it."""


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_a_turn_takes_few_calls(way: Way) -> None:
    router = way.router()
    await routed(router, way, 1)
    called = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal called
        called += event == "call" and frame.f_code.co_filename.startswith(OURS)

    sys.setprofile(count)
    try:
        await routed(router, way, 10)
    finally:
        sys.setprofile(None)
    assert called / 10 <= MOST


def test_a_turn_under_another_name_is_the_same_in_all_else() -> None:
    asked = turn("m", temperature=0.5, metadata={"a": "b"}, passed_on={"c": 1}, stream=False)
    assert asked.under("x") == replace(asked, model="x")
    assert asked.model == "m"
    assert all(hasattr(asked.under("x"), field.name) for field in fields(asked))


# --- patience


async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def test_a_wait_ends_when_its_own_time_is_over() -> None:
    patience, loop = Patience(), asyncio.get_running_loop()
    assert await patience.wait(slow(0.01), 60) == "done"
    for seconds in (0.05, 0.1, 0.02):  # later and earlier than the timer that runs
        began = loop.time()
        with pytest.raises(OutOfPatience):
            await patience.wait(slow(5), seconds)
        assert seconds <= loop.time() - began + 0.002 < 4
    assert await patience.wait(slow(0), 0.05) == "done"
    patience.close()


async def test_what_happens_between_waits_is_not_timed() -> None:
    patience = Patience()
    assert await patience.wait(slow(0), 0.02) == "done"
    await asyncio.sleep(0.06)
    assert await patience.wait(slow(0.01), 0.05) == "done"
    patience.close()
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_who_cancels_is_not_told_of_a_timeout() -> None:
    patience = Patience()
    waiting = asyncio.create_task(patience.wait(slow(5), 60))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    patience.close()


async def test_a_timeout_of_whoever_is_waited_for_is_their_own() -> None:
    async def raises() -> None:
        raise TimeoutError("theirs")

    patience = Patience()
    with pytest.raises(TimeoutError, match="theirs") as raised:
        await patience.wait(raises(), 60)
    assert not isinstance(raised.value, OutOfPatience)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await patience.wait(slow(5), 60)
    patience.close()
