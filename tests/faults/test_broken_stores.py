"""A store of a host's own that raises what no store may: nobody waits for ever, and it is a 500."""

import asyncio
import inspect
import json
from typing import Any

import httpx2
import pytest
from faulty import one_end

from responses_mw.app import ResponsesApp
from responses_mw.testing import EchoProvider
from responses_mw.testing.asgi import InProcessTransport
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
