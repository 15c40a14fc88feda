"""Traces and metrics of OpenTelemetry, read back from the SDK's own in-memory exporter."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from upstream import Exchange, upstream

from responses_mw import ChatCompletions, Deployment, HTTPProvider
from responses_mw.app import ResponsesApp
from responses_mw.deltas import TextDelta
from responses_mw.errors import UpstreamUnavailable
from responses_mw.telemetry.otel import OpenTelemetry
from responses_mw.testing import EchoProvider, ScriptedProvider
from responses_mw.testing.asgi import InProcessTransport
from stores import MemoryStore

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@dataclass
class Telemetry:
    spans_out: InMemorySpanExporter
    metrics_out: InMemoryMetricReader
    tracers: TracerProvider
    observer: OpenTelemetry

    @property
    def spans(self) -> list[ReadableSpan]:
        """Oldest first."""
        return sorted(self.spans_out.get_finished_spans(), key=lambda span: span.start_time or 0)

    def points(self, name: str) -> list[HistogramDataPoint]:
        found = self.metrics_out.get_metrics_data()
        scopes = [scope for each in found.resource_metrics for scope in each.scope_metrics]
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in metrics for point in metric.data.data_points]


@pytest.fixture
def telemetry() -> Telemetry:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider(metric_readers=[reader])
    observer = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    return Telemetry(exporter, reader, tracers, observer)


async def ask(app: ResponsesApp, *bodies: dict[str, Any], **headers: str) -> list[httpx2.Response]:
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        return [
            await http.post(
                "/responses", json={"model": "m", "input": "hi", **body}, headers=headers
            )
            for body in bodies
        ]


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def serving(telemetry: Telemetry, *deployments: Any) -> ResponsesApp:
    models: dict[str, Any] = {"m": deployments[0] if len(deployments) == 1 else deployments}
    return ResponsesApp(store=MemoryStore(), models=models, observers=[telemetry.observer])


async def refused(exchange: Exchange) -> None:
    await exchange.whole({"error": {"message": "overloaded", "type": "x"}}, 503)


async def answered(exchange: Exchange) -> None:
    message = {"role": "assistant", "content": "hello"}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    await exchange.whole({"id": "x", "choices": [choice], "usage": usage})


async def test_a_chain_that_goes_on_elsewhere_says_so(telemetry: Telemetry) -> None:
    async with upstream(answered, refused) as down, upstream(answered) as up:
        app = serving(
            telemetry,
            Deployment(HTTPProvider(ChatCompletions(), base_url=down.url), id="a", order=1),
            Deployment(HTTPProvider(ChatCompletions(), base_url=up.url), id="b", order=2),
        )
        [first] = await ask(app, {})
        [second] = await ask(app, {"previous_response_id": first.json()["id"]})
    assert second.headers["x-responses-mw-fallback"] == "a->b"
    turns = [told(span) for span in telemetry.spans if "responses_mw.status" in told(span)]
    assert [turn.get("responses_mw.fallback") for turn in turns] == [None, "a->b"]


async def test_a_trace_of_one_fallback_shows_both_attempts(telemetry: Telemetry) -> None:
    async with upstream(refused) as down, upstream(answered) as up:
        app = serving(
            telemetry,
            Deployment(HTTPProvider(ChatCompletions(), base_url=down.url), "big", "down", order=1),
            Deployment(HTTPProvider(ChatCompletions(), base_url=up.url), "small", "up", order=2),
        )
        [answer] = await ask(app, {}, traceparent=PARENT)

    assert answer.status_code == 200, answer.text
    turn, first, second = telemetry.spans
    assert (turn.name, first.name, second.name) == ("chat m", "chat big", "chat small")
    assert turn.parent is not None
    assert f"{turn.parent.trace_id:032x}" == TRACE
    assert f"{turn.parent.span_id:016x}" == "b7ad6b7169203331"
    for attempt in (first, second):
        assert attempt.parent is not None
        assert attempt.parent.span_id == turn.context.span_id
        assert attempt.kind is SpanKind.CLIENT
    assert told(first)["responses_mw.deployment"] == "down"
    assert first.status.status_code is StatusCode.ERROR
    assert "error.type" in told(first)
    assert told(second)["responses_mw.deployment"] == "up"
    assert "error.type" not in told(second)
    assert (first.end_time or 0) <= (second.start_time or 0)
    assert turn.status.status_code is StatusCode.UNSET
    assert told(turn) | {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "small",
        "gen_ai.response.id": answer.json()["id"],
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 4,
        "responses_mw.deployment": "up",
    } == told(turn)

    for exchange, span in ((down.exchanges[0], first), (up.exchanges[0], second)):
        sent = exchange.headers["traceparent"]
        assert sent == f"00-{TRACE}-{span.context.span_id:016x}-01"


async def test_a_trace_that_is_not_recorded_goes_on_at_the_upstream_all_the_same() -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(sampler=ParentBased(ALWAYS_ON))
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider(metric_readers=[reader])
    observer = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    telemetry = Telemetry(exporter, reader, tracers, observer)
    async with upstream(answered) as up:
        app = serving(telemetry, HTTPProvider(ChatCompletions(), base_url=up.url, name="openai"))
        await ask(app, {}, traceparent=PARENT.removesuffix("01") + "00")

    version, trace_id, _, flags = up.exchanges[0].headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "00")
    assert telemetry.spans == []
    [duration] = telemetry.points("gen_ai.client.operation.duration")
    assert (duration.attributes or {})["gen_ai.provider.name"] == "openai"


async def test_the_hosts_current_span_is_the_parent(telemetry: Telemetry) -> None:
    app = serving(telemetry, EchoProvider())
    tracer = telemetry.tracers.get_tracer("host")

    async def host(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        with tracer.start_as_current_span("the host's request"):
            await app(scope, receive, send)
            assert trace.get_current_span() is not None

    transport = InProcessTransport(host)
    async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        body = {"model": "m", "input": "hi"}
        await http.post("/responses", json=body, headers={"traceparent": PARENT})
    await app.aclose()
    found = {span.name: span for span in telemetry.spans}
    parent = found["the host's request"]
    turn = next(span for span in telemetry.spans if span.parent == parent.context)
    assert turn.name == "chat m"


async def test_failures_and_cut_answers_are_errors_of_turn_and_attempt(
    telemetry: Telemetry,
) -> None:
    broken = [TextDelta("half"), UpstreamUnavailable("it broke")]
    app = serving(telemetry, ScriptedProvider(UpstreamUnavailable("no"), broken))
    await ask(app, {}, {"stream": True})

    spans = telemetry.spans
    assert len(spans) >= 4
    for span in spans:
        assert span.status.status_code is StatusCode.ERROR
        assert told(span)["error.type"] == "upstream_unavailable"
    assert len({span.context.trace_id for span in spans}) == 2


async def test_tokens_and_times_are_measured_by_model(telemetry: Telemetry) -> None:
    app = serving(telemetry, ScriptedProvider("one two", "three four"))
    await ask(app, {"input": "a b c"}, {"stream": True})

    tokens = {
        (point.attributes or {})["gen_ai.token.type"]: (point.count, point.sum)
        for point in telemetry.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": (2, 4), "output": (2, 4)}
    [duration] = telemetry.points("gen_ai.client.operation.duration")
    assert duration.count == 2
    assert 0 < duration.sum < 5
    assert dict(duration.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ScriptedProvider",
        "gen_ai.request.model": "m",
    }
    [first] = telemetry.points("gen_ai.client.operation.time_to_first_chunk")
    assert first.count == 2


async def test_many_at_once_each_send_their_own_trace(telemetry: Telemetry) -> None:
    async with upstream(answered) as up:
        app = serving(telemetry, HTTPProvider(ChatCompletions(), base_url=up.url))
        transport = InProcessTransport(app)
        async with (
            app.lifespan(),
            httpx2.AsyncClient(transport=transport, base_url="http://t") as http,
        ):
            traces = [f"{n:032x}" for n in range(1, 21)]
            await asyncio.gather(
                *(
                    http.post(
                        "/responses",
                        json={"model": "m", "input": "hi"},
                        headers={"traceparent": f"00-{one}-b7ad6b7169203331-01"},
                    )
                    for one in traces
                )
            )
    sent = sorted(exchange.headers["traceparent"].split("-")[1] for exchange in up.exchanges)
    assert sent == traces
    assert len(telemetry.spans) == 40


async def test_nothing_stays_current_after_a_compaction(telemetry: Telemetry) -> None:
    app = serving(telemetry, ScriptedProvider("a summary"))
    kept: list[Any] = []

    async def host(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        kept.append(trace.get_current_span(context.get_current()))

    transport = InProcessTransport(host)
    async with httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        answer = await http.post("/responses/compact", json={"model": "m", "input": "hi"})
    await app.aclose()
    assert answer.status_code == 200
    assert [span.name for span in telemetry.spans] == ["chat m", "chat m"]
    assert not kept[0].get_span_context().is_valid


async def test_without_tracing_no_header_goes_out() -> None:
    async with upstream(answered) as up:
        provider = HTTPProvider(ChatCompletions(), base_url=up.url)
        app = ResponsesApp(store=MemoryStore(), models={"m": provider})
        await ask(app, {}, traceparent=PARENT)
    assert "traceparent" not in up.exchanges[0].headers


def test_only_the_api_is_imported_and_only_where_it_is_asked_for() -> None:
    program = """
import sys
from responses_mw.app import ResponsesApp
from responses_mw.errors import ConfigurationError
from responses_mw.settings import Settings
from responses_mw.testing import EchoProvider
ResponsesApp(store="memory://", models={"m": EchoProvider()})
assert not any(name.startswith("opentelemetry") for name in sys.modules)
ResponsesApp(store="memory://", models={"m": EchoProvider()}, settings=Settings(otel=True))
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules)
for name in [name for name in sys.modules if "otel" in name or "opentelemetry" in name]:
    del sys.modules[name]
sys.modules["opentelemetry"] = None
try:
    ResponsesApp(store="memory://", models={"m": EchoProvider()}, settings=Settings(otel=True))
except ConfigurationError as error:
    print(error.message)
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install 'responses-mw[otel]'" in found.stdout


class Unending:
    async def stream(self, turn: Any) -> AsyncIterator[Any]:
        yield TextDelta("a")
        await asyncio.Event().wait()


async def test_a_cancelled_response_ends_its_spans(telemetry: Telemetry) -> None:
    app = serving(telemetry, Unending())
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        body = {"model": "m", "input": "hi", "background": True}
        made = (await http.post("/responses", json=body)).json()
        await asyncio.sleep(0.05)
        await http.post(f"/responses/{made['id']}/cancel")
    assert len(telemetry.spans) == 2
    assert told(telemetry.spans[0])["responses_mw.status"] == "cancelled"
