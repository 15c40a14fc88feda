"""Background work of a worker that died waits for one that serves its model, and not for ever."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from every_store import store, store_url
from test_background import ended, kill

from responses_mw import ResponsesApp, Settings
from responses_mw.deltas import Delta, Stopped, TextDelta
from responses_mw.testing import EchoProvider, ScriptedProvider, openai_client
from responses_mw.turn import Turn
from stores import SessionStore, open_store
from stores.accounts import UsageQuery

__all__ = ["store", "store_url"]

LEASE_S = 0.3


class Worker:
    """As `test_background.kill` wants one."""

    def __init__(self, store: SessionStore, **models: Any) -> None:
        settings = Settings(drain_s=0, lease_s=LEASE_S)
        self.app = ResponsesApp(store=store, models=models, settings=settings)


class Silent:
    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        await asyncio.Event().wait()
        yield Stopped()


class Mortal:
    """Says a word and is silent then."""

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        yield TextDelta("half")
        await asyncio.Event().wait()


@pytest.fixture
def beside(store: SessionStore, store_url: str) -> SessionStore:
    """What another process would have opened."""
    if not store.hands_back:
        pytest.skip(f"{type(store).__name__} hands nothing back")
    return store if store_url == "memory://" else open_store(store_url)


async def left(
    store: SessionStore, provider: Any = None, *, wait_s: float = 0.0, user: str | None = None
) -> str:
    """The id of background work whose worker died. `user` is given by a header."""
    first = Worker(store, rare=provider or Silent())
    headers = {} if user is None else {"x-litellm-end-user-id": user}
    async with openai_client(first.app) as client:
        made = await client.responses.create(
            model="rare", input="hi", background=True, extra_headers=headers
        )
        await asyncio.sleep(wait_s)
        await kill(first)  # type: ignore[arg-type]
    return made.id


async def test_it_waits_for_a_worker_that_serves_its_model(
    store: SessionStore, beside: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    id = await left(store)
    other = Worker(beside, common=EchoProvider())
    async with other.app.lifespan(), openai_client(other.app) as client:
        # Longer than the attempts that a death costs: being handed back costs none.
        await asyncio.sleep(4 * LEASE_S)
        assert (await client.responses.retrieve(id)).status == "queued"
        knowing = Worker(store, rare=ScriptedProvider("at last"), common=EchoProvider())
        async with knowing.app.lifespan():
            done = await ended(client, id)
    assert (done.status, done.output_text) == ("completed", "at last")
    said = [line for line in caplog.records if "is left for another" in line.getMessage()]
    assert len(said) == 1


async def test_after_its_time_it_fails_and_says_why(
    store: SessionStore, beside: SessionStore
) -> None:
    id = await left(store)
    other = Worker(beside, common=EchoProvider())
    async with other.app.lifespan(), openai_client(other.app) as client:
        began = asyncio.get_running_loop().time()
        done = await ended(client, id)
        waited = asyncio.get_running_loop().time() - began
    assert done.status == "failed"
    assert done.error is not None
    assert "The model 'rare' does not exist. Known models: common" in done.error.message
    assert waited >= 9 * LEASE_S


async def test_what_could_not_be_begun_again_does_not_wait(
    store: SessionStore, beside: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    id = await left(store, Mortal(), wait_s=1.2)
    cancelled = await left(store)
    other = Worker(beside, common=EchoProvider())
    async with beside if beside is not store else store:
        await beside.request_cancel(cancelled, owner="default")
    async with other.app.lifespan(), openai_client(other.app) as client:
        done, stopped = await ended(client, id), await ended(client, cancelled)
    assert (done.status, done.output_text) == ("failed", "half")
    assert stopped.status == "cancelled"
    assert not [line for line in caplog.records if "is left for another" in line.getMessage()]


@pytest.mark.parametrize(("lost", "status"), [(Silent(), "completed"), (Mortal(), "failed")])
async def test_it_counts_for_the_user_whom_a_header_named(
    store: SessionStore, beside: SessionStore, lost: Any, status: str
) -> None:
    id = await left(store, lost, user="ann", wait_s=0.0 if status == "completed" else 1.2)
    other = Worker(beside, rare=ScriptedProvider("at last"))
    async with other.app.lifespan(), openai_client(other.app) as client:
        done = await ended(client, id)
        totals = await beside.usage(UsageQuery(group_by=("user", "status")))
    assert done.status == status
    assert [total.group for total in totals] == [{"user": "ann", "status": status}]
