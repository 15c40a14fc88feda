"""A load of 10,000 responses by 200 users: `/usage`, Prometheus and the log say the same of it, and
that is what was used."""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, Stopped, TextDelta, UsageReported
from responses_mw.errors import UpstreamUnavailable
from responses_mw.router import Deployment
from responses_mw.settings import Settings
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn

RESPONSES, USERS, AT_ONCE = 10_000, 200, 64
PRICES = {"input_cost_per_token": 1.1e-7, "output_cost_per_token": 3.3e-6}
Sums = dict[tuple[str, str], Counter[str]]
"""By user and model."""


class Asked:
    """Uses as many tokens as the request's metadata says, and may break after it said so."""

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        asked = json.loads(turn.metadata["asked"])
        yield TextDelta("Hi.")
        yield UsageReported(*asked["tokens"])
        if asked["breaks"]:
            raise UpstreamUnavailable("it broke")
        yield Stopped()


class Fields(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.turns: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.turns.append(vars(record))


@pytest.fixture
def log() -> Iterator[Fields]:
    handler, logger = Fields(), logging.getLogger("responses_mw.turns")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield handler
    logger.propagate = True
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.mark.untraced
async def test_ten_thousand_responses_have_the_same_totals_everywhere(
    tmp_path: Path, log: Fields
) -> None:
    app = ResponsesApp(
        store=f"sqlite:///{tmp_path}/load.db",
        models={"priced": Deployment(Asked(), prices=PRICES), "unpriced": Deployment(Asked())},
        settings=Settings(metrics=True),
    )
    transport = InProcessTransport(app)
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        sent = await _load(http)
        query = {"group_by": "user,model"}
        usage = (await http.get("/usage", params=query)).json()["data"]
        (all,) = (await http.get("/usage")).json()["data"]
        metrics = (await http.get("/metrics")).text

    assert len({user for user, _ in sent}) == USERS
    assert _of_usage(usage) == _of_log(log.turns) == sent
    total = sum(sent.values(), Counter[str]())
    assert total["requests"] == all["requests"] == len(log.turns) == RESPONSES
    assert round(all["cost"] * 10**9) == total["nano"]
    assert _counted(metrics, "responses_mw_requests_total") == RESPONSES
    failed = sum(turn["status"] == "failed" for turn in log.turns)
    assert _counted(metrics, "responses_mw_requests_total", status="failed") == failed > 100
    for kind in ("input", "output"):
        assert _counted(metrics, "responses_mw_tokens_total", kind=kind) == total[kind]
    for model in ("priced", "unpriced"):
        requests = sum(row["requests"] for (_, name), row in sent.items() if name == model)
        assert _counted(metrics, "responses_mw_requests_total", model=model) == requests
    cost = _counted(metrics, "responses_mw_cost_dollars_total")
    assert cost == pytest.approx(total["nano"] / 10**9, abs=1e-9)


async def _load(http: httpx2.AsyncClient) -> Sums:
    """What was sent."""
    rng, numbers = random.Random(7), iter(range(RESPONSES))
    sent: Sums = {}

    async def some() -> None:
        for n in numbers:
            user, model = f"u{n % USERS}", rng.choice(["priced", "unpriced"])
            input, output = rng.randrange(1, 5000), rng.randrange(1, 900)
            breaks = rng.random() < 0.05
            asked = json.dumps({"tokens": [input, output], "breaks": breaks})
            body = {"model": model, "input": "hi", "user": user, "store": n % 10 == 0}
            answer = await http.post("/responses", json={**body, "metadata": {"asked": asked}})
            assert answer.json()["status"] == ("failed" if breaks else "completed")
            # By hand: 110 and 3300 billionths of a dollar a token.
            nano = 110 * input + 3300 * output if model == "priced" else 0
            own = sent.setdefault((user, model), Counter())
            own.update(requests=1, input=input, output=output, nano=nano)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return sent


def _of_usage(rows: list[dict[str, Any]]) -> Sums:
    return {
        (row["user"], row["model"]): Counter(
            requests=row["requests"],
            input=row["input_tokens"],
            output=row["output_tokens"],
            nano=round((row["cost"] or 0) * 10**9),
        )
        for row in rows
    }


def _of_log(turns: list[dict[str, Any]]) -> Sums:
    found: Sums = {}
    for turn in turns:
        found.setdefault((turn["user"], turn["model"]), Counter()).update(
            requests=1,
            input=turn["input_tokens"],
            output=turn["output_tokens"],
            nano=round((turn["cost"] or 0) * 10**9),
        )
    return found


def _counted(metrics: str, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
