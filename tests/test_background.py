"""Background responses: durable from the first moment, cancelled and followed from any worker."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from every_store import store, store_url
from openai import AsyncOpenAI

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, Stopped, TextDelta, UsageReported
from responses_mw.errors import ResponsesError, UpstreamRefused
from responses_mw.schema import CreateRequest
from responses_mw.service import Service
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider, ScriptedProvider, check_event_order, openai_client
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn
from stores import SessionStore, StoreError, open_store

__all__ = ["store", "store_url"]


class Ticking:
    """Says a numbered word every 20 ms, a hundred times; knows how it ended."""

    def __init__(self) -> None:
        self.runs = 0
        self.stopped = asyncio.Event()

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        self.runs += 1
        try:
            for n in range(100):
                yield TextDelta(f"w{n} ")
                await asyncio.sleep(0.02)
            yield UsageReported(1, 100)
            yield Stopped()
        finally:
            self.stopped.set()


class Worker:
    """One process's application; several share a store."""

    def __init__(self, store: SessionStore, *answers: Any, **settings: Any) -> None:
        self.ticking = Ticking()
        self.scripted = ScriptedProvider(*answers)
        self.app = ResponsesApp(
            store=store,
            models={"tick": self.ticking, "scripted": self.scripted, "echo": EchoProvider()},
            settings=Settings(drain_s=0, **settings),
        )

    def client(self) -> AsyncOpenAI:
        return openai_client(self.app)


@pytest.fixture
async def worker(store: SessionStore) -> AsyncIterator[Worker]:
    it = Worker(store, "hello", UpstreamRefused("no", status=401, type="authentication_error"))
    async with it.app.lifespan():
        yield it


@pytest.fixture
async def other(worker: Worker, store_url: str) -> AsyncIterator[Worker]:
    """A second worker: over the same database, or the same memory."""
    shared = worker.app.store if store_url == "memory://" else open_store(store_url)
    it = Worker(shared)
    async with it.app.lifespan():
        yield it


async def ended(client: AsyncOpenAI, id: str) -> Any:
    async with asyncio.timeout(10):
        while (found := await client.responses.retrieve(id)).status in ("queued", "in_progress"):
            await asyncio.sleep(0.05)
    return found


async def stream_of(app: ResponsesApp, id: str, after: int | None = None) -> list[dict[str, Any]]:
    query = "" if after is None else f"&starting_after={after}"
    async with httpx2.AsyncClient(transport=InProcessTransport(app)) as http:
        answer = await http.get(f"http://test/responses/{id}?stream=true{query}", timeout=20)
    assert answer.status_code == 200
    assert answer.text.endswith("data: [DONE]\n\n")
    found = re.findall(r"^data: (\{.*\})$", answer.text, re.MULTILINE)
    return [httpx2.Response(200, content=text).json() for text in found]


async def test_it_is_queued_at_once_and_completed_by_itself(worker: Worker) -> None:
    async with worker.client() as client:
        made = await client.responses.create(model="scripted", input="hi", background=True)
        assert (made.status, made.background, made.output) == ("queued", True, [])
        done = await ended(client, made.id)
        assert (done.status, done.output_text) == ("completed", "hello")
        more = await client.responses.create(
            model="echo", input="and?", previous_response_id=made.id
        )
    assert more.output_text == "user: hi\nassistant: hello\nuser: and?"


async def test_an_end_is_shown_when_it_is_stored_and_not_before(store: SessionStore) -> None:
    storing, stored = asyncio.Event(), asyncio.Event()
    finish = store.finish

    async def slow_finish(*args: Any, **named: Any) -> bool:
        storing.set()
        await stored.wait()
        return await finish(*args, **named)

    store.finish = slow_finish  # type: ignore[method-assign]
    worker = Worker(store, "hello")
    async with worker.app.lifespan(), worker.client() as client:
        made = await client.responses.create(model="scripted", input="hi", background=True)
        await storing.wait()
        heard = asyncio.create_task(stream_of(worker.app, made.id))
        read = asyncio.create_task(client.responses.retrieve(made.id))
        await asyncio.sleep(0.05)
        assert not heard.done()
        assert not read.done()
        stored.set()
        assert (await read).status == "completed"
        check_event_order(await heard)
        await client.responses.create(model="echo", input="?", previous_response_id=made.id)


async def test_an_upstreams_refusal_is_a_failed_response(worker: Worker) -> None:
    async with worker.client() as client:
        for status in ("completed", "failed"):
            made = await client.responses.create(model="scripted", input="hi", background=True)
            done = await ended(client, made.id)
            assert done.status == status
    assert done.error is not None


async def test_cancelling_stops_the_upstream_and_keeps_what_was_said(worker: Worker) -> None:
    async with worker.client() as client:
        made = await client.responses.create(model="tick", input="hi", background=True)
        await asyncio.sleep(0.1)
        cancelled = await client.responses.cancel(made.id)
        assert worker.ticking.stopped.is_set()
        assert cancelled.status == "cancelled"
        assert cancelled.output_text.startswith("w0 w1 ")
        again = await client.responses.cancel(made.id)
        assert again == cancelled
        assert await client.responses.retrieve(made.id) == cancelled
        more = await client.responses.create(model="echo", input="?", previous_response_id=made.id)
        assert more.output_text.startswith("user: hi\nassistant: w0 ")


async def test_cancelling_at_once_is_cancelled_and_not_gone(worker: Worker) -> None:
    async with worker.client() as client:
        for _ in range(10):
            made = await client.responses.create(model="tick", input="hi", background=True)
            cancelled = await client.responses.cancel(made.id)
            assert cancelled.status == "cancelled"
            assert (await client.responses.retrieve(made.id)) == cancelled


async def test_a_generation_that_is_cancelled_before_its_first_step_still_ends(
    worker: Worker,
) -> None:
    runtime = await worker.app.open()
    request = CreateRequest.of({"model": "tick", "input": "hi"})
    generation = await Service(runtime).create(request, owner="default")
    generation.cancel()
    async with asyncio.timeout(2):
        with pytest.raises(ResponsesError, match="cancelled before it began"):
            await generation.result()
    assert worker.ticking.runs == 0


async def test_another_worker_cancels_within_a_second(worker: Worker, other: Worker) -> None:
    async with worker.client() as client, other.client() as elsewhere:
        made = await client.responses.create(model="tick", input="hi", background=True)
        await asyncio.sleep(0.05)
        async with asyncio.timeout(1.5):
            cancelled = await elsewhere.responses.cancel(made.id)
        assert cancelled.status == "cancelled"
        assert worker.ticking.stopped.is_set()


async def test_a_foreground_response_cannot_be_cancelled(worker: Worker) -> None:
    async with worker.client() as client:
        made = await client.responses.create(model="echo", input="hi")
        with pytest.raises(openai.BadRequestError, match="background: true"):
            await client.responses.cancel(made.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.cancel("resp_nope")


async def test_a_stream_that_was_left_goes_on_where_it_was(worker: Worker) -> None:
    async with worker.client() as client:
        stream = await client.responses.create(
            model="tick", input="hi", background=True, stream=True
        )
        heard: list[Any] = []
        async for event in stream:
            heard.append(event.model_dump(exclude_unset=True))
            if len(heard) == 10:
                break
        await stream.close()
        id = heard[0]["response"]["id"]
        rest = await stream_of(worker.app, id, after=heard[-1]["sequence_number"])
        whole = await stream_of(worker.app, id)
    check_event_order(whole)
    told = [(event["sequence_number"], event["type"]) for event in [*heard, *rest]]
    assert told == [(event["sequence_number"], event["type"]) for event in whole]
    assert [event.get("delta") for event in whole] == [
        event.get("delta") for event in [*heard, *rest]
    ]


async def test_another_worker_follows_a_running_stream(worker: Worker, other: Worker) -> None:
    async with worker.client() as client:
        made = await client.responses.create(model="tick", input="hi", background=True)
        followed, heard = await asyncio.gather(
            stream_of(other.app, made.id), stream_of(worker.app, made.id)
        )
    check_event_order(followed)
    assert followed == heard


async def test_a_store_that_fails_for_a_while_does_not_end_what_follows(
    worker: Worker, other: Worker
) -> None:
    store, failures = other.app.store, 0
    get = store.get

    async def failing(id: str, *, owner: str) -> Any:
        nonlocal failures
        failures += 1
        if failures in (2, 3):
            raise StoreError("the database is away")
        return await get(id, owner=owner)

    async with worker.client() as client:
        made = await client.responses.create(model="tick", input="hi", background=True)
        store.get = failing  # type: ignore[method-assign]
        followed = await stream_of(other.app, made.id)
    assert failures > 3
    check_event_order(followed)
    assert followed[-1]["type"] == "response.completed"


async def test_every_stored_response_can_be_heard_again(worker: Worker) -> None:
    async with worker.client() as client:
        events = [
            event.model_dump(exclude_unset=True)
            async for event in await client.responses.create(
                model="scripted", input="hi", stream=True
            )
        ]
        whole = await client.responses.create(model="echo", input="not streamed")
    id = events[0]["response"]["id"]
    assert await stream_of(worker.app, id) == events
    assert await stream_of(worker.app, id, after=4) == events[5:]
    check_event_order(await stream_of(worker.app, whole.id))


@pytest.mark.parametrize("cursor", ["abc", "-1", "1.5", ""])
async def test_a_bad_cursor_is_refused(worker: Worker, cursor: str) -> None:
    async with worker.client() as client:
        made = await client.responses.create(model="echo", input="hi")
        answer = await client._client.get(
            f"http://test/v1/responses/{made.id}?stream=true&starting_after={cursor}"
        )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "starting_after"


async def test_work_of_a_dead_worker_is_begun_again(store: SessionStore) -> None:
    first = Worker(store, [asyncio.Event()], lease_s=0.3)
    async with first.client() as client:
        made = await client.responses.create(model="scripted", input="hi", background=True)
        await kill(first)
    second = Worker(store, "said by another", lease_s=0.3)
    async with second.app.lifespan(), second.client() as client:
        done = await ended(client, made.id)
        assert (done.status, done.output_text) == ("completed", "said by another")
        assert [item["content"][0]["text"] for item in second.scripted.turns[0].items] == ["hi"]


async def test_what_a_dead_worker_had_said_is_kept_and_failed(store: SessionStore) -> None:
    first = Worker(store, lease_s=0.3)
    async with first.client() as client:
        made = await client.responses.create(model="tick", input="hi", background=True)
        await asyncio.sleep(1.6)
        await kill(first)
    second = Worker(store, lease_s=0.3)
    async with second.app.lifespan(), second.client() as client:
        done = await ended(client, made.id)
        assert done.status == "failed"
        assert done.error is not None
        assert "the worker that generated this response stopped" in done.error.message
        assert done.output_text.startswith("w0 w1 ")
        assert second.ticking.runs == 0
        events = await stream_of(second.app, made.id)
        check_event_order(events)
        assert events[-1]["type"] == "response.failed"


async def kill(worker: Worker) -> None:
    """As a crash does: nothing is said, saved or released any more."""
    runtime = await worker.app.open()
    for generation in runtime.generations.values():
        generation._record = None
    for task in [*runtime._upkeep, *runtime._tasks]:
        task.cancel()
    await asyncio.wait([*runtime._upkeep, *runtime._tasks])
    worker.app._opened.clear()
