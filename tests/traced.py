"""An application that is traced; its spans and metrics from the SDK's in-memory exporters."""

from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from upstream import Exchange

from responses_mw.app import ResponsesApp
from responses_mw.telemetry.otel import OpenTelemetry
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


async def answered(exchange: Exchange) -> None:
    message = {"role": "assistant", "content": "hello"}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    await exchange.whole({"id": "x", "choices": [choice], "usage": usage})
