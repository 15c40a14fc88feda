"""A response has one end: whoever cancels, deletes, resumes or dies meanwhile, all readers are told
the same, and the store keeps that."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from every_store import store, store_url
from kills import events_of, talking, text_of
from live import live
from victims import LEASE_S, Paced, answer_to, asking, nursery

from responses_mw.app import ResponsesApp
from responses_mw.settings import Settings
from responses_mw.testing import check_event_order
from stores import SessionStore, open_store

__all__ = ["store", "store_url"]

TERMINAL = ("response.completed", "response.failed", "response.incomplete")
RUNNING = ("queued", "in_progress")
SLOW = asking(60, pause_s=0.01)
ROUNDS = 12

Event = dict[str, Any]


class Desk:
    """A store whose `finish` waits at a gate, before or behind the moment when the end is kept."""

    def __init__(self, store: SessionStore, *, behind: bool) -> None:
        self.store = store
        self.reached, self.open = asyncio.Event(), asyncio.Event()
        finish = store.finish

        async def gated(*args: Any, **named: Any) -> bool:
            kept = await finish(*args, **named) if behind else False
            self.reached.set()
            await self.open.wait()
            return kept if behind else await finish(*args, **named)

        store.finish = gated  # type: ignore[method-assign]


def application(store: SessionStore) -> ResponsesApp:
    settings = Settings(drain_s=2, lease_s=LEASE_S)
    return ResponsesApp(store=store, models={"paced": Paced()}, settings=settings)


def client(address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://{address}", timeout=30, trust_env=False)


@pytest.fixture
async def http(store: SessionStore) -> AsyncIterator[httpx.AsyncClient]:
    async with live(application(store)) as address, client(address) as it:
        yield it


@pytest.fixture
async def other(
    http: httpx.AsyncClient, store: SessionStore, store_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a second worker over the same data."""
    shared = store if store_url == "memory://" else open_store(store_url)
    async with live(application(shared)) as address, client(address) as it:
        yield it


async def begun(http: httpx.AsyncClient, text: str = SLOW) -> str:
    body = {"model": "paced", "input": text, "background": True}
    id: str = (await http.post("/responses", json=body)).json()["id"]
    return id


async def heard(http: httpx.AsyncClient, id: str | None, after: int = -1) -> list[Event]:
    params = {"stream": "true", **({} if after < 0 else {"starting_after": str(after)})}
    async with http.stream("GET", f"/responses/{id}", params=params) as answer:
        if answer.status_code == 404:
            return []
        assert answer.status_code == 200, await answer.aread()
        return [event async for event in events_of(answer)]


async def at_its_end(http: httpx.AsyncClient, id: str) -> Event:
    async with asyncio.timeout(10):
        while (response := (await http.get(f"/responses/{id}")).json())["status"] in RUNNING:
            await asyncio.sleep(0.02)
    end: Event = response
    return end


def check_told(told: list[Event], whole: list[Event], end: Event, *, after: int = -1) -> None:
    """One reader's events are those of the response, and end as it ended. The protocol has no
    event for `cancelled`."""
    assert told == [event for event in whole if event["sequence_number"] > after]
    ends = [event for event in whole if event["type"] in TERMINAL]
    if end["status"] == "cancelled":
        assert ends == []
    else:
        check_event_order(whole)
        assert [event["response"] for event in ends] == [end]


@pytest.mark.parametrize("behind", [False, True], ids=["before it is kept", "once it is kept"])
async def test_a_response_that_is_cancelled_while_its_end_is_kept_has_one_end(
    store: SessionStore, behind: bool
) -> None:
    desk = Desk(store, behind=behind)
    async with live(application(store)) as address, client(address) as http:
        text = asking(3)
        id = await begun(http, text)
        readers = [asyncio.create_task(heard(http, id, after)) for after in (-1, 3)]
        await desk.reached.wait()
        cancels = [asyncio.create_task(http.post(f"/responses/{id}/cancel")) for _ in range(2)]
        await asyncio.sleep(0.1)
        desk.open.set()
        answers = [(await cancel).json() for cancel in cancels]
        end = await at_its_end(http, id)
        whole = await heard(http, id)
        assert answers == [end, end]
        assert text_of(end) == answer_to([text])
        for reader, after in zip(readers, (-1, 3), strict=True):
            check_told(await reader, whole, end, after=after)


async def test_cancels_at_any_moment_from_anywhere_leave_one_end(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    async def cancelled_after(seconds: float) -> str:
        id = await begun(http, asking(10, pause_s=0.004))
        readers = [asyncio.create_task(heard(http, id, after)) for after in (-1, 0)]
        await asyncio.sleep(seconds)
        answers = await asyncio.gather(
            *(it.post(f"/responses/{id}/cancel") for it in (http, other, http))
        )
        end, whole = await at_its_end(http, id), await heard(http, id)
        assert [answer.json() for answer in answers] == [end] * 3
        assert await heard(other, id) == whole
        for reader, after in zip(readers, (-1, 0), strict=True):
            check_told(await reader, whole, end, after=after)
        return str(end["status"])

    moments = [0.005 * n for n in range(ROUNDS)]
    seen = await asyncio.gather(*map(cancelled_after, [*moments, 1]))
    assert set(seen) == {"cancelled", "completed"}


async def test_all_who_resume_at_once_are_told_the_same(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    id = await begun(http)
    await asyncio.sleep(0.2)
    afters = [-1, -1, 0, 1, 2, 3]
    told = await asyncio.gather(*(heard(it, id, after) for it in (http, other) for after in afters))
    end, whole = await at_its_end(http, id), await heard(http, id)
    assert (end["status"], text_of(end)) == ("completed", answer_to([SLOW]))
    for events, after in zip(told, afters * 2, strict=True):
        check_told(events, whole, end, after=after)


async def test_what_is_deleted_while_it_streams_is_gone_for_every_reader(
    http: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    async def deleted_after(seconds: float) -> None:
        id = await begun(http, asking(10, pause_s=0.004))
        readers = [asyncio.create_task(heard(it, id)) for it in (http, other)]
        await asyncio.sleep(seconds)
        deleting = [it.delete(f"/responses/{id}") for it in (http, other)]
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*deleting))
        assert statuses == [200, 404]
        for events in [await reader for reader in readers]:
            numbers = [event["sequence_number"] for event in events]
            assert numbers == list(range(len(numbers)))
            ends = [event for event in events if event["type"] in TERMINAL]
            assert ends in ([], events[-1:])
        for it in (http, other):
            assert (await it.get(f"/responses/{id}")).status_code == 404
            assert await heard(it, id) == []

    await asyncio.gather(*(deleted_after(0.005 * n) for n in range(ROUNDS)))


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_who_follows_a_worker_that_is_killed_is_told_how_it_ended(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/followed.db"
    if database == "postgres":
        url = request.getfixturevalue("postgres_dsn")
    with nursery(url) as born:
        dies, lives = born.start(), born.start()
        async with talking(dies) as first, talking(lives) as second:
            id = await begun(first, asking(400, pause_s=0.02))
            await asyncio.sleep(1.2)  # something was kept by then
            readers = [asyncio.create_task(heard(second, id, after)) for after in (-1, 5)]
            await asyncio.sleep(0.2)
            born.kill(dies)
            told = await asyncio.gather(*readers)
            end, whole = await at_its_end(second, id), await heard(second, id)
    assert end["status"] == "failed"
    assert answer_to([asking(400, pause_s=0.02)]).startswith(text_of(end))
    assert text_of(end)
    for events, after in zip(told, (-1, 5), strict=True):
        check_told(events, whole, end, after=after)
