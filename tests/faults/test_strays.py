"""What a worker has reserved and lost sight of ends, however busy the worker is with the rest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from every_store import store, store_url
from victims import Paced, asking

from responses_mw.app import ResponsesApp
from responses_mw.settings import Settings
from stores import SessionStore, StoreBusy, StoreError, open_store

__all__ = ["store", "store_url"]

LEASE_S = 0.6
BUSY = {"model": "paced", "input": asking(400, pause_s=0.05), "stream": True}


@pytest.fixture
async def http(store: SessionStore) -> AsyncIterator[httpx.AsyncClient]:
    """Its worker is never idle."""
    settings = Settings(lease_s=LEASE_S, drain_s=0, finish_when_client_leaves=False)
    app = ResponsesApp(store=store, models={"paced": Paced()}, settings=settings)
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
    ):
        busy = asyncio.create_task(http.post("/responses", json=BUSY))
        yield http
        assert not busy.done()
        busy.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await busy


def failing_once(store: SessionStore, method: str, error: StoreError, *, after: bool) -> None:
    """Its next call fails, before or `after` it has done what was asked."""
    works: Callable[..., Awaitable[Any]] = getattr(store, method)

    async def fails(*args: Any, **named: Any) -> None:
        setattr(store, method, works)
        if after:
            await works(*args, **named)
        raise error

    setattr(store, method, fails)


async def until_it_ended(store: SessionStore) -> Any:
    """The one response that is not the busy one."""
    async with asyncio.timeout(10 * LEASE_S):
        while True:
            turns = await store.export()
            ended = [turn for turn in turns if turn.status not in ("queued", "in_progress")]
            if ended:
                return ended[0]
            await asyncio.sleep(0.05)


async def test_an_end_that_cannot_be_kept_is_failed_by_a_worker_that_goes_on(
    store: SessionStore, http: httpx.AsyncClient
) -> None:
    failing_once(store, "finish", StoreError("refused"), after=False)
    told = (await http.post("/responses", json={"model": "paced", "input": asking(1)})).json()
    kept = await until_it_ended(store)
    assert (told["id"], told["status"]) == (kept.id, kept.status) == (kept.id, "failed")


async def test_an_end_that_was_kept_unheard_is_the_end(
    store: SessionStore, http: httpx.AsyncClient
) -> None:
    failing_once(store, "finish", StoreBusy("cut off"), after=True)
    told = (await http.post("/responses", json={"model": "paced", "input": asking(1)})).json()
    kept = (await http.get(f"/responses/{told['id']}")).json()
    assert told == kept
    assert told["status"] == "completed"


async def test_a_reservation_of_which_nobody_hears_is_failed_by_a_worker_that_goes_on(
    store: SessionStore, http: httpx.AsyncClient
) -> None:
    failing_once(store, "reserve", StoreBusy("cut off"), after=True)
    refused = await http.post("/responses", json={"model": "paced", "input": asking(1)})
    kept = await until_it_ended(store)
    assert (refused.status_code, kept.status) == (503, "failed")


async def test_a_conversation_is_free_after_a_turn_whose_caller_left_before_it_began(
    store: SessionStore, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = (await http.post("/conversations", json={})).json()["id"]
    turn = {"model": "paced", "input": asking(1), "conversation": line}
    reserve, reserved = store.reserve, asyncio.Event()

    async def slow(*args: Any, **named: Any) -> bool:
        done = await reserve(*args, **named)
        reserved.set()
        await asyncio.sleep(0.1)
        return done

    monkeypatch.setattr(store, "reserve", slow)
    leaving = asyncio.create_task(http.post("/responses", json=turn))
    await reserved.wait()
    leaving.cancel()
    monkeypatch.undo()
    async with asyncio.timeout(10 * LEASE_S):
        answer = await http.post("/responses", json=turn)
    assert answer.json()["status"] == "completed"
    kept = await until_it_ended(store)
    assert (kept.id, kept.status) == (answer.json()["id"], "completed")  # and no other


async def test_a_turn_that_waited_for_longer_than_a_lease_is_left_to_its_worker(
    store: SessionStore, store_url: str
) -> None:
    shared = store if store_url == "memory://" else open_store(store_url)
    settings = Settings(lease_s=LEASE_S, drain_s=0)
    one, other = (
        ResponsesApp(store=each, models={"paced": Paced()}, settings=settings)
        for each in (store, shared)
    )
    async with (
        one.lifespan(),
        other.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(one), base_url="http://test") as http,
    ):
        line = (await http.post("/conversations", json={})).json()["id"]

        async def ask(wait_s: float) -> Any:
            asked = asking(1, wait_s=wait_s)
            body = {"model": "paced", "input": asked, "conversation": line}
            return (await http.post("/responses", json=body)).json()

        first = asyncio.create_task(ask(2 * LEASE_S))
        await asyncio.sleep(0.1)
        second = await ask(LEASE_S)
        assert (second["status"], (await first)["status"]) == ("completed", "completed")
