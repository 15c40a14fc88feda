"""The trace that upstreams are told of: as the host's propagator writes it, whichever that is."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator, default_setter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from traced import PARENT, Telemetry, answered, ask, serving, telemetry
from upstream import upstream

from responses_mw import ChatCompletions, HTTPProvider
from responses_mw.app import ResponsesApp
from responses_mw.settings import Settings
from stores import MemoryStore

__all__ = ["telemetry"]


class Letters(TextMapPropagator):
    """Of a host that writes traces in another way."""

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        return context

    def inject(self, carrier: Any, context: Any = None, setter: Any = default_setter) -> None:
        told = trace.get_current_span(context).get_span_context()
        setter.set(carrier, "x-letters", f"{told.trace_id:032x}")

    @property
    def fields(self) -> set[str]:
        return {"x-letters"}


@pytest.fixture(params=["default", "trace alone", "letters", "both", "none"])
def propagator(request: pytest.FixtureRequest) -> Iterator[TextMapPropagator]:
    before, w3c = propagate.get_global_textmap(), TraceContextTextMapPropagator()
    chosen: dict[str, TextMapPropagator] = {
        "default": before,
        "trace alone": w3c,
        "letters": Letters(),
        "both": CompositePropagator([Letters(), w3c]),
        "none": CompositePropagator([]),
    }
    propagate.set_global_textmap(chosen[request.param])
    yield chosen[request.param]
    propagate.set_global_textmap(before)


@pytest.mark.parametrize("with_baggage", [False, True])
@pytest.mark.parametrize("state", [None, "vendor=1"])
async def test_upstreams_are_sent_what_the_hosts_propagator_writes(
    propagator: TextMapPropagator, telemetry: Telemetry, state: str | None, with_baggage: bool
) -> None:
    tracer = telemetry.tracers.get_tracer("host")
    headers = (
        {"traceparent": PARENT} if state is None else {"traceparent": PARENT, "tracestate": state}
    )
    outside = TraceContextTextMapPropagator().extract(headers, Context())
    if with_baggage:
        outside = baggage.set_baggage("who", "ann", outside)
    token = context.attach(outside)
    async with upstream(answered) as up:
        app = serving(telemetry, HTTPProvider(ChatCompletions(), base_url=up.url))
        with tracer.start_as_current_span("the host's request"):
            await ask(app, {})
    context.detach(token)

    attempt = next(span for span in telemetry.spans if span.kind is SpanKind.CLIENT)
    assert attempt.context is not None
    within = trace.set_span_in_context(trace.NonRecordingSpan(attempt.context), outside)
    expected: dict[str, str] = {}
    propagator.inject(expected, within)
    names = ("traceparent", "tracestate", "baggage", "x-letters")
    sent = up.exchanges[0].headers
    assert {name: sent[name] for name in names if name in sent} == expected


@pytest.mark.parametrize("headers", [{}, {"traceparent": PARENT}])
async def test_without_an_sdk_a_trace_is_handed_on_and_none_is_made(
    headers: dict[str, str],
) -> None:
    async with upstream(answered) as up:
        provider = HTTPProvider(ChatCompletions(), base_url=up.url)
        settings = Settings(otel=True)
        app = ResponsesApp(store=MemoryStore(), models={"m": provider}, settings=settings)
        await ask(app, {}, **headers)

    sent = up.exchanges[0].headers
    assert {name: sent[name] for name in ("traceparent",) if name in sent} == headers
