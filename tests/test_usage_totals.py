"""A load of 10,000 responses by 200 users: what is summed is exactly what was used."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, Stopped, TextDelta, UsageReported
from responses_mw.records import TurnRecord
from responses_mw.router import Deployment
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn

RESPONSES, USERS, AT_ONCE = 10_000, 200, 64
PRICES = {"input_cost_per_token": 1.1e-7, "output_cost_per_token": 3.3e-6}


@dataclass
class Varied:
    """Uses another number of tokens each time."""

    rng: random.Random

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        yield TextDelta("Hi.")
        yield UsageReported(self.rng.randrange(10_000), self.rng.randrange(1000))
        yield Stopped()


class Totals:
    """What observers were told, by user."""

    def __init__(self) -> None:
        self.requests: Counter[str | None] = Counter()
        self.tokens: Counter[str | None] = Counter()
        self.nano: Counter[str | None] = Counter()

    def on_start(self, record: TurnRecord) -> None: ...

    def on_first_delta(self, record: TurnRecord) -> None: ...

    def on_end(self, record: TurnRecord) -> None:
        assert record.usage is not None
        assert record.cost_nano is not None
        self.requests[record.end_user] += 1
        self.tokens[record.end_user] += record.usage.input_tokens + record.usage.output_tokens
        self.nano[record.end_user] += record.cost_nano


async def test_ten_thousand_responses_by_two_hundred_users_add_up(tmp_path: Path) -> None:
    told = Totals()
    app = ResponsesApp(
        store=f"sqlite:///{tmp_path}/load.db",
        models={"m": Deployment(Varied(random.Random(7)), prices=PRICES)},
        observers=[told],
    )
    transport = InProcessTransport(app)
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        await _load(http)
        by_user = (await http.get("/usage", params={"group_by": "user"})).json()["data"]
        (all,) = (await http.get("/usage")).json()["data"]

    assert len(by_user) == USERS
    assert all["requests"] == RESPONSES == sum(told.requests.values())
    assert {row["user"]: row["requests"] for row in by_user} == told.requests
    assert {row["user"]: _tokens(row) for row in by_user} == told.tokens
    assert {row["user"]: round(row["cost"] * 10**9) for row in by_user} == told.nano
    assert round(all["cost"] * 10**9) == sum(told.nano.values())


async def _load(http: httpx2.AsyncClient) -> None:
    numbers = iter(range(RESPONSES))

    async def some() -> None:
        for n in numbers:
            body = {"model": "m", "input": "hi", "user": f"u{n % USERS}", "store": n % 10 == 0}
            answer = await http.post("/responses", json=body)
            assert answer.status_code == 200

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


def _tokens(row: dict[str, Any]) -> int:
    return int(row["input_tokens"]) + int(row["output_tokens"])
