"""A served application with a master key, a model whose answers cost a dollar, and its clients."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from responses_mw.app import ResponsesApp
from responses_mw.cli.standalone import Standalone
from responses_mw.deltas import Delta, Stopped, TextDelta, UsageReported
from responses_mw.keys import PREFIX
from responses_mw.router import Deployment
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn
from stores import SessionStore

MASTER = "sk-master"


@dataclass
class Dear:
    """Every answer costs a dollar and has 100 tokens; it takes as long as `gate` is closed."""

    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        self.asked += 1
        await self.gate.wait()
        yield TextDelta("Dear.")
        yield UsageReported(input_tokens=60, output_tokens=40)
        yield Stopped()


def served(store: SessionStore, provider: Any = None) -> Standalone:
    dear = provider or Dear()
    if provider is None:
        dear.gate.set()
    prices = {"input_cost_per_token": 0.01, "output_cost_per_token": 0.01}
    models = {
        "dear": Deployment(dear, prices=prices),
        "echo": Deployment(EchoProvider()),
        "other": Deployment(EchoProvider()),
    }
    app = ResponsesApp(store=store, models=models, settings=Settings(drain_s=1))
    return Standalone(app, key=MASTER)


@contextlib.asynccontextmanager
async def running(app: Standalone) -> AsyncIterator[httpx2.AsyncClient]:
    transport = InProcessTransport(app)
    async with (
        app._responses.lifespan(),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost/v1") as http,
    ):
        yield http


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def make(http: httpx2.AsyncClient, owner: str = "ann", **given: Any) -> str:
    body = {"owner": owner, **given}
    answer = await http.post("/key/generate", json=body, headers=bearer(MASTER))
    assert answer.status_code == 200, answer.text
    key = answer.json()["key"]
    assert key.startswith(PREFIX)
    return str(key)


async def ask(http: httpx2.AsyncClient, key: str, model: str = "echo", **given: Any) -> Any:
    body = {"model": model, "input": "hi", **given}
    return await http.post("/responses", json=body, headers=bearer(key))


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]
