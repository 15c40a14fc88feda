"""Stores and providers of a host's own that raise what they may not: nobody waits for ever."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest
from faulty import one_end

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, TextDelta
from responses_mw.testing import EchoProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn
from stores import MemoryStore, SessionStore

METHODS = ("probe", "history", "reserve", "finish", "release", "add_usage", "conversation", "get")
SAID = "a secret of the store's"


class Broken:
    """`broken` raises, before or after it has done what it is for."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self.broken = ""
        self.after = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def called(*args: Any, **kwargs: Any) -> Any:
            if name != self.broken:
                return await method(*args, **kwargs)
            if self.after:
                await method(*args, **kwargs)
            raise KeyError(SAID)

        return called


def events(answer: httpx2.Response) -> list[Any]:
    lines = [line for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", METHODS)
async def test_every_turn_comes_to_an_end(method: str, after: bool) -> None:
    store: Any = Broken(MemoryStore())
    app = ResponsesApp(store=store, models={"m": EchoProvider()})
    transport = InProcessTransport(app)
    async with (
        asyncio.timeout(10),
        app.lifespan(),
        httpx2.AsyncClient(transport=transport, base_url="http://t") as http,
    ):
        first = (await http.post("/responses", json={"model": "m", "input": "a"})).json()["id"]
        line = (await http.post("/conversations", json={})).json()["id"]
        store.broken, store.after = method, after
        for more in ({"previous_response_id": first}, {"conversation": line}, {"store": False}):
            answer = await http.post("/responses", json={"model": "m", "input": "b", **more})
            assert answer.status_code in (200, 500)
            assert answer.json().get("status", "completed") == "completed"
            assert SAID not in answer.text

            streamed = {"model": "m", "input": "b", "stream": True, **more}
            answer = await http.post("/responses", json=streamed)
            assert answer.status_code in (200, 500)
            assert answer.status_code == 500 or one_end(events(answer))
            assert SAID not in answer.text
        answer = await http.post(
            "/responses", json={"model": "m", "input": "b", "background": True}
        )
        assert answer.status_code in (200, 500)

        store.broken = ""
        later = {"model": "m", "input": "c", "previous_response_id": first}
        assert (await http.post("/responses", json=later)).json()["status"] == "completed"


class Raising:
    """As task groups do, or what says to the interpreter that something ends."""

    def __init__(self, *said: Delta, error: BaseException) -> None:
        self._said = said
        self._error = error

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        for delta in self._said:
            yield delta
        raise self._error


@pytest.mark.parametrize("said", [(), (TextDelta("a"),)], ids=["silent", "begun"])
@pytest.mark.parametrize(
    "error",
    [
        BaseExceptionGroup("two", [asyncio.CancelledError(), ValueError(SAID)]),
        ExceptionGroup("one", [ValueError(SAID)]),
        StopAsyncIteration(SAID),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_every_kind_of_error_of_a_provider_is_an_end(
    error: BaseException, said: Sequence[Delta]
) -> None:
    app = ResponsesApp(store=MemoryStore(), models={"m": Raising(*said, error=error)})
    async with (
        asyncio.timeout(10),
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://t") as http,
    ):
        for body in ({}, {"store": False}, {"stream": True}):
            answer = await http.post("/responses", json={"model": "m", "input": "a", **body})
            assert SAID not in answer.text
            if said and "stream" in body:
                assert one_end(events(answer))["type"] == "response.failed"
            else:
                assert (answer.status_code, answer.json().get("status")) in (
                    (500, None),
                    (200, "failed"),
                )
        begun = {"model": "m", "input": "a", "background": True}
        id = (await http.post("/responses", json=begun)).json()["id"]
        while (kept := (await http.get(f"/responses/{id}")).json())["status"] != "failed":
            await asyncio.sleep(0.01)
    assert kept["error"]["code"] == "server_error"
