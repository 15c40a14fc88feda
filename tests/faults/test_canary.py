"""Secrets stay where they belong, whatever goes wrong.

A server over every wire format is broken in every way, traced, measured and logged in full. Then
everything that it wrote is searched: for keys, of which nothing may be anywhere; for what was asked
and answered, which may be in the answer and in the database, and nowhere else.
"""

import contextlib
import gc
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from breakage import FAULTS, Fault, well
from live import line, live
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from speeches import SPEECHES, WORDS, Speech
from starlette.applications import Starlette
from tally import Tried
from upstream import Exchange, upstream

from responses_mw import ResponsesApp, Settings
from responses_mw.cli.standalone import Standalone
from responses_mw.router import Deployment
from responses_mw.telemetry.log import JSONLines, TextLines
from responses_mw.transport import HTTPProvider, Timeouts

PROVIDER_KEY = "sk-canary-upstream-5f0e7c1d9ab34c"
MASTER_KEY = "sk-canary-master-91c07be2d6a843"
METRICS_KEY = "sk-canary-metrics-77d2e0415fa96b"
WRONG_KEY = "sk-rmw-canary-wrong-0b83d5a1c97e64"
ASKED = "canary-marmalade-in-the-archive"
ANSWERED = WORDS[2].split()[0]
CLIENTS = ("httpx", "httpcore", "websockets.client")
"""Loggers of the test's own end of the line."""
STATUSES = (400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 529)


@dataclass
class Writings:
    """What was written where: `told` to clients, `known` to whoever watches the server."""

    told: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        return [*self.told, *self.known]


class Log(logging.Handler):
    """Everything that any library logs, in each of our forms, with all that a record carries."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(level=1)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(CLIENTS):
            return
        self._lines += [JSONLines().format(record), TextLines().format(record), repr(vars(record))]


@contextlib.contextmanager
def logged(lines: list[str]) -> Iterator[None]:
    handler, root = Log(lines), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(1)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader])
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: tracers)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: meters)
    return exporter, reader


class Broken:
    """An upstream that breaks as it is told, and checks that it was shown the key."""

    def __init__(self, speech: Speech) -> None:
        self.speech = speech
        self.fault: Fault = well

    async def __call__(self, exchange: Exchange) -> None:
        assert PROVIDER_KEY in exchange.headers["authorization"]
        assert ASKED.encode() in exchange.body
        await self.fault(exchange, self.speech)


def refusing(status: int) -> Fault:
    """With the key in its words, where upstreams speak of keys."""
    said = f"Incorrect API key provided: {PROVIDER_KEY}." if status in (401, 403) else "No."

    async def refuse(exchange: Exchange, _speech: Speech) -> None:
        await exchange.whole({"error": {"message": said, "type": "x", "code": "y"}}, status)

    return refuse


@contextlib.asynccontextmanager
async def house(url: str) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, Broken], list[Any]]]:
    """Behind a master key; the last are objects whose `repr` somebody may log."""
    async with contextlib.AsyncExitStack() as stack:
        brokens = {name: Broken(speech) for name, speech in SPEECHES.items()}
        models, providers = {}, []
        for name, broken in brokens.items():
            there = await stack.enter_async_context(upstream(broken))
            provider = HTTPProvider(
                broken.speech.adapter(),
                base_url=there.url,
                headers={"authorization": f"Bearer {PROVIDER_KEY}"},
                timeouts=Timeouts(connect=1, read=0.2),
            )
            providers.append(provider)
            models[name] = Deployment(provider)
        settings = Settings(drain_s=1, otel=True, metrics=True, metrics_key=METRICS_KEY)
        app = ResponsesApp(store=url, models=models, settings=settings)
        served = Standalone(app, key=MASTER_KEY)
        address = await stack.enter_async_context(live(served))
        client = httpx.AsyncClient(
            base_url=f"http://{address}",
            headers={"authorization": f"Bearer {MASTER_KEY}"},
            timeout=20,
            trust_env=False,
        )
        http = await stack.enter_async_context(client)
        yield http, brokens, [app, served, settings, *models.values(), *providers]


def body(name: str, **more: Any) -> dict[str, Any]:
    tool = {"type": "function", "name": "f", "description": ASKED, "parameters": {}, "strict": True}
    asked = {"model": name, "input": ASKED, "instructions": ASKED, "tools": [tool]}
    return {**asked, "metadata": {"k": ASKED}, **more}


async def ask(http: httpx.AsyncClient, written: Writings, **asked: Any) -> None:
    """An answer may hold what was asked; an error of the server's own may not."""
    answer = await http.post("/responses", json=asked)
    written.told.append(str(answer.headers) + answer.text)
    if answer.status_code != 200:
        written.known.append(answer.text)


async def break_everything(
    http: httpx.AsyncClient, brokens: dict[str, Broken], written: Writings
) -> None:
    for name, broken in brokens.items():
        for fault in (well, *FAULTS, *map(refusing, STATUSES)):
            broken.fault = fault
            for stream in (True, False):
                await ask(http, written, **body(name, stream=stream))


async def ask_wrongly(http: httpx.AsyncClient, written: Writings) -> None:
    """Each refusal is a message of the server's own."""
    part = {"type": "input_text", "text": ASKED}
    for wrong in (
        {"temperature": ASKED},
        {"metadata": {"k": [ASKED]}},
        {"instructions": [ASKED]},
        {"user": {"name": ASKED}},
        {"input": [{"role": "user", "content": [part, {**part, "text": [ASKED]}]}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": ASKED}]},
        {"input": [{"type": "compaction", "encrypted_content": ASKED}]},
        {"tools": [{"type": "function", "name": "f", "description": [ASKED]}]},
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": [ASKED]}}},
    ):
        answer = await http.post("/responses", json={**body("chat"), **wrong})
        assert answer.status_code == 400, answer.text
        written.known.append(answer.text)
    broken = f'{{"model": "chat", "input": "{ASKED}'
    written.known.append((await http.post("/responses", content=broken)).text)
    for key in (WRONG_KEY, WRONG_KEY[7:], f"{MASTER_KEY}x", "\xff"):
        headers = {"authorization": f"Bearer {key}".encode("latin-1")}
        for path in ("/responses/x", "/metrics", "/key/list", "/usage"):
            answer = await http.get(path, headers=headers)
            assert answer.status_code == 401
            written.known.append(str(answer.headers) + answer.text)


async def look_around(http: httpx.AsyncClient, written: Writings) -> str:
    """Whatever the server tells about itself. The virtual key that it made, and told once."""
    made = (await http.post("/key/generate", json={"owner": "ann", "models": ["chat"]})).json()
    secret = str(made["key"])
    owned = {"authorization": f"Bearer {secret}"}
    refused = await http.post("/responses", json=body("gemini"), headers=owned)
    assert refused.status_code == 403
    written.known.append(refused.text)
    await http.post("/responses", json=body("chat"), headers=owned)
    async with line(http.base_url.netloc.decode(), headers=owned) as connection:
        event = (await connection.ask(model="gemini", input=ASKED))[-1]
        assert event["status"] == 403
        written.known.append(str(event))
    metrics_key = {"authorization": f"Bearer {METRICS_KEY}"}
    for path in ("/models", "/usage?group_by=model,key", "/key/list", "/health/ready"):
        written.known.append((await http.get(path)).text)
    measured = await http.get("/metrics", headers=metrics_key)
    if measured.status_code == 401:  # behind a master key, that one is asked for first
        measured = await http.get("/metrics")
    written.known.append(measured.text)
    return secret


async def test_secrets_stay_where_they_belong(
    telemetry: tuple[InMemorySpanExporter, InMemoryMetricReader],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tried: Tried,
) -> None:
    kept, scratch = tmp_path / "kept", tmp_path / "scratch"
    kept.mkdir()
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    written = Writings()
    with logged(written.known):
        async with house(f"sqlite:///{kept}/responses.db") as (http, brokens, objects):
            await break_everything(http, brokens, written)
            await ask_wrongly(http, written)
            virtual_key = await look_around(http, written)
            written.known += [repr(one) for one in objects]
            written.known += [repr(vars(one)) for one in objects if isinstance(one, Starlette)]
            gc.collect()
    exporter, reader = telemetry
    spans = exporter.get_finished_spans()
    written.known += [span.to_json() for span in spans]
    written.known.append(str(reader.get_metrics_data()))
    captured = capfd.readouterr()
    written.known += [captured.out, captured.err]

    keys = (PROVIDER_KEY, MASTER_KEY, METRICS_KEY, WRONG_KEY, virtual_key)
    for key in keys:
        assert not [text for text in written.all if key in text], key
        assert not files_with(key, tmp_path), key
    for said in (ASKED, ANSWERED):
        assert not [text for text in written.known if said in text], said
        assert [text for text in written.told if said in text]
        assert {file.parent for file in files_with(said, tmp_path)} == {kept}
    assert len(spans) > 200
    tried("faults of upstreams", len(SPEECHES) * len([*FAULTS, *STATUSES]) * 2)
    assert [text for text in written.known if "cools down" in text]


def files_with(text: str, folder: Path) -> list[Path]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if text.encode() in file.read_bytes()]
