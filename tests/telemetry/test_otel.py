"""Traces and metrics of OpenTelemetry, read back from the SDK's own in-memory exporter."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from opentelemetry import context, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import SpanKind, StatusCode
from traced import PARENT, TRACE, Telemetry, answered, ask, serving, telemetry, told
from upstream import Exchange, upstream

from responses_mw import ChatCompletions, Deployment, HTTPProvider
from responses_mw.app import ResponsesApp
from responses_mw.batch import DELAY_S
from responses_mw.deltas import TextDelta
from responses_mw.errors import UpstreamUnavailable
from responses_mw.telemetry.otel import OpenTelemetry
from responses_mw.testing import EchoProvider, ScriptedProvider
from responses_mw.testing.asgi import InProcessTransport
from stores import MemoryStore

__all__ = ["telemetry"]


async def refused(exchange: Exchange) -> None:
    await exchange.whole({"error": {"message": "overloaded", "type": "x"}}, 503)


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


async def test_spans_are_told_later_and_end_when_they_ended(telemetry: Telemetry) -> None:
    app = serving(telemetry, ScriptedProvider("one two"))
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        await http.post("/responses", json={"model": "m", "input": "hi"})
        over = time.time_ns()
        waiting = telemetry.spans
        async with asyncio.timeout(10 * DELAY_S):
            while not telemetry.spans:
                await asyncio.sleep(0.01)
        turn, attempt = telemetry.spans

    assert waiting == []
    assert turn.start_time is not None
    assert turn.end_time is not None
    assert turn.start_time <= (attempt.start_time or 0)
    assert (attempt.end_time or 0) <= turn.end_time <= over
    assert turn.end_time - turn.start_time < 1e9 * DELAY_S


class Choosy(Sampler):
    """Records what is asked of one model."""

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        chosen = (attributes or {}).get("gen_ai.request.model") == "m"
        return SamplingResult(Decision.RECORD_AND_SAMPLE if chosen else Decision.DROP, attributes)

    def get_description(self) -> str:
        return "Choosy"


async def test_a_sampler_may_go_by_the_model_that_was_asked_for() -> None:
    exporter = InMemorySpanExporter()
    tracers = TracerProvider(sampler=Choosy())
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    observer = OpenTelemetry(tracer_provider=tracers, meter_provider=NoOpMeterProvider())
    models = {"m": EchoProvider(), "n": EchoProvider()}
    app = ResponsesApp(store=MemoryStore(), models=models, observers=[observer])
    await ask(app, {"model": "n"}, {"model": "m"})

    assert [span.name for span in exporter.get_finished_spans()] == ["chat m", "chat m"]


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
