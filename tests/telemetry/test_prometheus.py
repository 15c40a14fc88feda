"""Metrics: what is counted, who may read it, and that log and usage say the same."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from served import config, serving

from responses_mw import Deployment
from responses_mw.app import ResponsesApp
from responses_mw.batch import DELAY_S
from responses_mw.deltas import Delta, Stopped, TextDelta
from responses_mw.errors import UpstreamUnavailable
from responses_mw.records import TurnRecord
from responses_mw.settings import Settings
from responses_mw.telemetry.prometheus import _STORE, _Histogram
from responses_mw.testing import EchoProvider, ScriptedProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn
from stores import MemoryStore

METERED = Settings(metrics=True)
ECHO = "python/responses_mw.testing:EchoProvider"
KEY = "sk-master"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    wanted = labels.items()
    return sum(
        value for (found, having), value in samples.items() if found == name and wanted <= having
    )


async def asked(app: ResponsesApp, *inputs: str, **headers: str) -> Samples:
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        for input in inputs:
            await http.post("/responses", json={"model": "m", "input": input})
        answer = await http.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.text)


async def test_responses_tokens_times_and_store_calls_are_counted() -> None:
    provider = ScriptedProvider("one two", UpstreamUnavailable("no"), "three")
    app = ResponsesApp(store=MemoryStore(), models={"m": provider}, settings=METERED)
    found = await asked(app, "a b c", "d", "e")

    ended = "responses_mw_requests_total"
    assert total(found, ended, model="m", deployment="m", status="completed") == 2
    assert total(found, ended, status="failed") == 1
    assert total(found, "responses_mw_tokens_total", kind="input") == 4
    assert total(found, "responses_mw_tokens_total", kind="output") == 3
    assert total(found, "responses_mw_unpriced_requests_total") == 2
    assert total(found, "responses_mw_request_seconds_count") == 3
    assert total(found, "responses_mw_first_delta_seconds_count") == 2
    assert total(found, "responses_mw_failed_attempts_total", error="upstream_unavailable") == 1
    assert total(found, "responses_mw_store_seconds_count", operation="reserve") == 3
    assert total(found, "responses_mw_store_seconds_count", operation="finish") == 2
    assert 0 < total(found, "responses_mw_store_seconds_sum") < 1


async def test_what_priced_responses_cost_is_added_up() -> None:
    prices = {"input_cost_per_token": 0.01, "output_cost_per_token": 0.1}
    model = Deployment(ScriptedProvider("one two", "three"), prices=prices)
    app = ResponsesApp(store=MemoryStore(), models={"m": model}, settings=METERED)
    found = await asked(app, "a b c", "d")

    spent = 0.01 * total(found, "responses_mw_tokens_total", kind="input")
    spent += 0.1 * total(found, "responses_mw_tokens_total", kind="output")
    assert total(found, "responses_mw_cost_dollars_total") == pytest.approx(spent)
    assert spent > 0.3


async def test_what_is_under_way_is_told_as_it_stands() -> None:
    began, free = asyncio.Event(), asyncio.Event()

    class Slow:
        async def on_start(self, record: TurnRecord) -> None:
            began.set()
            await free.wait()

    provider = ScriptedProvider([TextDelta("a"), free, Stopped()])
    app = ResponsesApp(
        store=MemoryStore(), models={"m": provider}, settings=METERED, callbacks=[Slow()]
    )
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        body = {"model": "m", "input": "a", "background": True}
        await http.post("/responses", json=body)
        await began.wait()
        found = parsed((await http.get("/metrics")).text)
        assert total(found, "responses_mw_running", kind="background") == 1
        assert total(found, "responses_mw_running", kind="foreground") == 0
        assert total(found, "responses_mw_callback_waiting") == 0
        assert total(found, "responses_mw_deployment_cooling", deployment="m") == 0
        free.set()


async def test_a_deployment_that_cools_down_is_told() -> None:
    class Down:
        async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
            raise UpstreamUnavailable("no")
            yield

    models = {"m": [Deployment(Down(), id="down"), Deployment(EchoProvider(), id="up")]}
    app = ResponsesApp(store=MemoryStore(), models=models, settings=METERED)
    found = await asked(app, *["a"] * 40)
    assert total(found, "responses_mw_deployment_cooling", deployment="down") == 1
    assert total(found, "responses_mw_deployment_cooling", deployment="up") == 0
    assert total(found, "responses_mw_requests_total", status="completed") == 40


async def test_the_route_is_there_only_where_it_was_asked_for_and_for_whom() -> None:
    for settings, headers, status in (
        (Settings(), {}, 404),
        (Settings(metrics=True, metrics_key=KEY), {}, 401),
        (Settings(metrics=True, metrics_key=KEY), {"authorization": "Bearer no"}, 401),
        (Settings(metrics=True, metrics_key=KEY), {"authorization": f"Bearer {KEY}"}, 200),
        (Settings(metrics=True), {}, 200),
    ):
        app = ResponsesApp(
            store=MemoryStore(),
            models={"m": EchoProvider()},
            settings=settings,
            owner=lambda request: None,
        )
        transport = InProcessTransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
            assert (await http.get("/metrics", headers=headers)).status_code == status
        await app.aclose()


async def test_two_applications_count_for_themselves() -> None:
    one, two = (
        ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()}, settings=METERED)
        for _ in range(2)
    )
    assert total(await asked(one, "a", "b"), "responses_mw_requests_total") == 2
    assert total(await asked(two, "a"), "responses_mw_requests_total") == 1


@pytest.mark.parametrize(
    ("metrics", "statuses"), [("key", (401, 200)), ("open", (200, 200)), ("off", (401, 404))]
)
def test_serve_has_them_behind_its_key_or_open(
    tmp_path: Path, metrics: str, statuses: tuple[int, int]
) -> None:
    variables = {"RESPONSES_MW_MASTER_KEY": KEY, "RESPONSES_MW_METRICS": metrics}
    models = config(tmp_path, echo=ECHO)
    with serving("--config", models, folder=tmp_path, **variables) as server:
        bearer = {"authorization": f"Bearer {KEY}"}
        for root in (server.root, server.url):
            answers = httpx.get(f"{root}/metrics"), httpx.get(f"{root}/metrics", headers=bearer)
            assert tuple(answer.status_code for answer in answers) == statuses


def test_workers_add_up_where_they_are_given_a_folder(tmp_path: Path) -> None:
    models, counters = config(tmp_path, echo=ECHO), tmp_path / "counters"
    counters.mkdir()
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(counters)}
    options = ("--config", models, "--workers", "2")
    with serving(*options, folder=tmp_path, **variables) as server:
        for _ in range(20):  # each on a connection of its own: either worker may take it
            body = {"model": "echo", "input": "hi"}
            assert httpx.post(f"{server.url}/responses", json=body).status_code == 200
        time.sleep(2 * DELAY_S)
        found = parsed(httpx.get(f"{server.url}/metrics").text)
    assert total(found, "responses_mw_requests_total") == 20


def test_without_the_extra_the_setting_is_one_clear_error() -> None:
    program = """
import sys
sys.modules["prometheus_client"] = None
sys.modules["opentelemetry"] = None
from responses_mw.app import ResponsesApp
from responses_mw.errors import ConfigurationError
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider
ResponsesApp(store="memory://", models={"m": EchoProvider()})
try:
    ResponsesApp(store="memory://", models={"m": EchoProvider()}, settings=Settings(metrics=True))
except ConfigurationError as error:
    print(error.message)
"""
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert "pip install 'responses-mw[metrics]'" in found.stdout


def test_observing_many_is_observing_each() -> None:
    together, each = (CollectorRegistry() for _ in range(2))
    seconds = [0.0, 0.0005, 0.1, 0.1001, 5.0, 5.5, 1e9, -1.0]
    _Histogram("h", "", ("of",), registry=together, buckets=_STORE).labels("x").observe_all(seconds)
    one_by_one = Histogram("h", "", ("of",), registry=each, buckets=_STORE).labels("x")
    for amount in seconds:
        one_by_one.observe(amount)
    told = [parsed(generate_latest(known).decode()) for known in (together, each)]
    created = {name for name in told[0] if name[0] == "h_created"}
    assert len(told[0]) > len(created)
    assert told[0].keys() == told[1].keys()
    assert all(told[0][name] == pytest.approx(told[1][name]) for name in told[0].keys() - created)
