"""An application over a store that fails, what is asked of it meanwhile, and what must be seen."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
from kills import events_of, text_of
from live import live
from victims import Paced, answer_to, asking

from responses_mw.app import ResponsesApp
from responses_mw.settings import Settings
from stores import SessionStore, SQLiteStore

TERMINAL = ("response.completed", "response.failed", "response.incomplete")
SLOW = asking(10, pause_s=0.02)


@contextlib.asynccontextmanager
async def serving(
    store: SessionStore, *, lease_s: float = 20, opened: bool = True
) -> AsyncIterator[httpx.AsyncClient]:
    """Not `opened`: mounted in a host without a lifespan, it opens at the first request."""
    settings = Settings(lease_s=lease_s, drain_s=5)
    app = ResponsesApp(store=store, models={"paced": Paced()}, settings=settings)
    async with live(app, lifespan="on" if opened else "off") as address:
        url = f"http://{address}"
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            yield http
    if not opened:
        await app.aclose()


async def told(http: httpx.AsyncClient, text: str, begun: asyncio.Event | None = None) -> list[Any]:
    """The events of a streamed turn."""
    events = []
    body = {"model": "paced", "input": text, "stream": True}
    async with http.stream("POST", "/responses", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for event in events_of(answer):
            events.append(event)
            if begun is not None:
                begun.set()
    return events


async def ask(http: httpx.AsyncClient, after: str | None = None) -> httpx.Response:
    body = {"model": "paced", "input": asking(1), "previous_response_id": after}
    return await http.post("/responses", json=body)


def one_end(events: list[Any]) -> Any:
    (end,) = [event for event in events if event["type"] in TERMINAL]
    assert events[-1] is end
    return end


async def until_it_works(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while (answer := await ask(http)).status_code != 200:
            check_refusal(answer)
            await asyncio.sleep(0.1)


def check_refusal(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers.get("retry-after")) == (503, "1"), answer.text
    assert answer.json()["error"]["code"] == "store_unavailable"


async def outlast_a_lock(path: Path, *, locked_s: float, busy_s: float) -> None:
    """A turn whose file another process locks is kept once it lets go; others are sent away."""
    async with serving(SQLiteStore(path, busy_seconds=busy_s), lease_s=20 + locked_s) as http:
        begun = asyncio.Event()
        turn = asyncio.create_task(told(http, SLOW, begun))
        await begun.wait()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused = await ask(http)
        await asyncio.sleep(locked_s)
        assert not turn.done()
        other.execute("ROLLBACK")
        other.close()
        response = one_end(await turn)["response"]
        kept = (await http.get(f"/responses/{response['id']}")).json()
        assert (await ask(http, after=response["id"])).status_code == 200
    check_refusal(refused)
    assert kept == response
    assert (kept["status"], text_of(kept)) == ("completed", answer_to([SLOW]))
