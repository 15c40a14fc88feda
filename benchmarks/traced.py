"""`responses-mw` where OpenTelemetry's SDK is set up: RATE, maybe `metrics`, its own arguments.

Spans are sampled by their parent, else at RATE, and batched as for any exporter; the exporter
throws them away, so that what is measured is not some collector's wire format.
"""

import sys
from collections.abc import Sequence

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from responses_mw.cli import main


class Discarding(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def set_up(rate: float, *, measured: bool) -> None:
    tracers = TracerProvider(sampler=ParentBased(TraceIdRatioBased(rate)))
    tracers.add_span_processor(BatchSpanProcessor(Discarding()))
    trace.set_tracer_provider(tracers)
    if measured:
        metrics.set_meter_provider(MeterProvider(metric_readers=[InMemoryMetricReader()]))


if __name__ == "__main__":
    rate = float(sys.argv.pop(1))
    measured = sys.argv[1] == "metrics"
    del sys.argv[1 : 2 if measured else 1]
    set_up(rate, measured=measured)
    main()
