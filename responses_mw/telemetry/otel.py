"""OpenTelemetry: one span per response, a child for every deployment that was asked, and metrics.

By the semantic conventions for generative AI. The only file that imports opentelemetry, and of it
the API alone: without an SDK that the host sets up, all of this does nothing.
"""

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider, NoOpMeter, get_meter
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

from responses_mw import outgoing
from responses_mw.batch import Batch
from responses_mw.records import Observer, TurnRecord
from responses_mw.routing.deployments import Deployment

_NANO = 1_000_000_000
_MOST_MARKS = 1000
"""Names of models may come from clients, by a wildcard."""
_OPERATION = "chat"
_ANSWERED_BY = "gen_ai.response.model"
_PROVIDERS = {
    "bedrock": "aws.bedrock",
    "bedrock_invoke": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
}
"""The names of the conventions, where a provider has another one here."""
_TRACE = frozenset({"traceparent", "tracestate"})
_NOBODYS = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""What is measured where nothing is recorded is no example of any trace."""


class OpenTelemetry(Observer):
    """Without providers, the host's global ones.

    A span's parent is the one current where the request was taken, else the request's
    `traceparent`. Upstreams are sent the span of their own attempt. Spans begin when what they are
    about begins, for others need their ids; they get their attributes, and end as of when it
    ended, a moment later and many in a row. What samplers go by they have from the beginning.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        ours = ("responses_mw", version("responses-mw"))
        self._tracer = trace.get_tracer(*ours, tracer_provider=tracer_provider)
        meter = get_meter(*ours, meter_provider=meter_provider)
        self._measures = not isinstance(meter, NoOpMeter)  # somebody wanted none
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens used, of each type."
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "From request to end."
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "From request to the first delta."
        )
        self._traces: dict[str, _Trace] = {}
        self._ended = Batch(self._tell_all)
        self._marks: dict[tuple[str | None, ...], _Marks] = {}

    def on_start(self, record: TurnRecord) -> None:
        name, attributes = _beginning(record.model)
        span = self._tracer.start_span(name, _parent(record), attributes=attributes)
        recorded = span.is_recording()
        if not recorded:
            # Nobody records its attempts, either: upstreams hear of the turn.
            within = trace.set_span_in_context(span)
            _enter(within, _headers(span, within))
            if not self._measures:
                return
        traced = _Recorded(self._tracer, record, span) if recorded else _Trace()
        self._traces[record.id] = traced
        record.attempting.append(traced.attempting)

    def on_end(self, record: TurnRecord) -> None:
        traced = self._traces.pop(record.id, None)
        if traced is not None:
            traced.leave(record.error)
            self._ended.add((record, traced.deployment, traced.spans))

    def _tell_all(self, ended: "Sequence[_Ended]") -> None:
        for record, deployment, spans in ended:
            provider = "unknown" if deployment is None else _provider_of(deployment)
            if self._measures:
                self._measure(record, provider, spans[-1].context if spans else _NOBODYS)
            if spans:
                spans[-1].span.set_attributes(_known(record, provider))
            for each in spans:
                each.end()

    def _measure(self, record: TurnRecord, provider: str, within: Context) -> None:
        marks = self._marked(provider, record.model, record.upstream_model, record.error)
        if record.first_delta_s is not None:
            self._first.record(record.first_delta_s - record.started_s, marks.answer, within)
        if record.ended_s is not None:
            self._duration.record(record.ended_s - record.started_s, marks.end, within)
        if record.usage is not None:
            self._tokens.record(record.usage.input_tokens, marks.input, within)
            self._tokens.record(record.usage.output_tokens, marks.output, within)

    def _marked(self, *by: str | None) -> "_Marks":
        found = self._marks.get(by)
        if found is None:
            if len(self._marks) >= _MOST_MARKS:
                self._marks.clear()
            found = self._marks[by] = _Marks.of(*by)
        return found


@dataclass(frozen=True, slots=True)
class _Marks:
    """What a measurement is marked with. Few values each: a metric is kept for every combination
    of them."""

    answer: Mapping[str, str]
    end: Mapping[str, str]
    input: Mapping[str, str]
    output: Mapping[str, str]

    @classmethod
    def of(
        cls, provider: str | None, model: str | None, answered_by: str | None, error: str | None
    ) -> "_Marks":
        named = {
            "gen_ai.operation.name": _OPERATION,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            _ANSWERED_BY: answered_by,
        }
        answer = {name: value for name, value in named.items() if value is not None}
        end = answer if error is None else {**answer, "error.type": error}
        input, output = ({**end, "gen_ai.token.type": kind} for kind in ("input", "output"))
        return cls(answer, end, input, output)


class _Open:
    """A span that was begun, and ends later than it is left."""

    __slots__ = ("_error", "_left_ns", "context", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.context = trace.set_span_in_context(span)

    def leave(self, error: str | None) -> None:
        self._error = error
        self._left_ns = time.time_ns()

    def end(self) -> None:
        if self._error is not None:
            self.span.set_attribute("error.type", self._error)
            self.span.set_status(StatusCode.ERROR, self._error)
        self.span.end(self._left_ns)


class _Trace:
    """Of one response, which nobody records."""

    spans: Sequence[_Open] = ()

    def __init__(self) -> None:
        self.deployment: Deployment | None = None

    def attempting(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def leave(self, error: str | None) -> None:
        return


class _Recorded(_Trace):
    """`spans` are those that were left, the response's own behind those of its attempts."""

    def __init__(self, tracer: trace.Tracer, record: TurnRecord, span: Span) -> None:
        super().__init__()
        self.spans: list[_Open] = []
        self._tracer = tracer
        self._record = record
        self._turn = _Open(span)
        self._attempt: _Open | None = None
        self._attempts = 0
        _enter(self._turn.context, outgoing.NONE)

    def attempting(self, deployment: Deployment) -> None:
        super().attempting(deployment)
        self._leave_attempt(None)
        self._attempts = len(self._record.attempts)
        model = deployment.model or self._record.model
        span = self._tracer.start_span(
            f"{_OPERATION} {model}",
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": _OPERATION,
                "gen_ai.provider.name": _provider_of(deployment),
                "gen_ai.request.model": model,
                "responses_mw.deployment": str(deployment.id),
            },
        )
        self._attempt = _Open(span)
        _enter(self._attempt.context, _headers(span, self._attempt.context))

    def leave(self, error: str | None) -> None:
        self._leave_attempt(error)
        self._turn.leave(error)
        self.spans.append(self._turn)

    def _leave_attempt(self, error: str | None) -> None:
        if self._attempt is None:
            return
        noted = self._record.attempts[self._attempts :]
        failed = noted[-1].error if noted else None
        # One that began to answer and broke was noted as an answer.
        self._attempt.leave(failed or error)
        self.spans.append(self._attempt)
        self._attempt = None
        _enter(self._turn.context, outgoing.NONE)


_Ended = tuple[TurnRecord, Deployment | None, Sequence[_Open]]
"""Who was asked last, and the spans of the trace."""


def _enter(within: Context, headers: Mapping[str, str]) -> None:
    """For good: each response has a task of its own, and whose context that is goes with it."""
    context.attach(within)
    outgoing.HEADERS.set(headers)


@functools.lru_cache(maxsize=_MOST_MARKS)
def _beginning(model: str) -> tuple[str, Mapping[str, str]]:
    """The name of a response's span and what samplers may go by."""
    known = {"gen_ai.operation.name": _OPERATION, "gen_ai.request.model": model}
    return f"{_OPERATION} {model}", known


def _headers(span: Span, within: Context) -> Mapping[str, str]:
    """As the host's propagator writes them. The one that most have takes three times as long as
    writing what it would, where there is nothing but the span to write."""
    propagator = propagate.get_global_textmap()
    trace_id, span_id, _, flags, state, is_valid = span.get_span_context()
    if len(within) == 1 and is_valid and not state and _is_w3c(propagator):
        # A third of what formats for hexadecimal take.
        trace_hex, span_hex = trace_id.to_bytes(16, "big").hex(), span_id.to_bytes(8, "big").hex()
        return {"traceparent": f"00-{trace_hex}-{span_hex}-{flags.to_bytes(1, 'big').hex()}"}
    headers: dict[str, str] = {}
    propagator.inject(headers, within)
    return headers


@functools.lru_cache(maxsize=1)  # a process has one
def _is_w3c(propagator: TextMapPropagator) -> bool:
    """Baggage, which may be left out, would be a second value of a context."""
    is_one = type(propagator) is CompositePropagator
    return is_one and _TRACE <= propagator.fields <= {*_TRACE, "baggage"}


def _parent(record: TurnRecord) -> Context:
    current = context.get_current()
    if record.caller.trace and not _is_traced(current):
        return propagate.extract(record.caller.trace, current)
    return current


def _is_traced(current: Context) -> bool:
    return trace.get_current_span(current).get_span_context().is_valid


def _known(record: TurnRecord, provider: str) -> Mapping[str, Any]:
    """Beside what its span began with."""
    usage, cost = record.usage, record.cost_nano
    told: dict[str, Any] = {
        "gen_ai.provider.name": provider,
        "gen_ai.request.stream": record.streamed,
        "gen_ai.response.id": record.id,
        "gen_ai.conversation.id": record.conversation or record.chain,
        _ANSWERED_BY: record.upstream_model,
        "responses_mw.status": record.status,
        "responses_mw.stored": record.stored,
        "responses_mw.background": record.background,
        "responses_mw.deployment": record.deployment,
        "responses_mw.fallback": record.fallback,
        "responses_mw.cost": None if cost is None else cost / _NANO,
    }
    if record.first_delta_s is not None:
        told["gen_ai.response.time_to_first_chunk"] = record.first_delta_s - record.started_s
    if usage is not None:
        told |= {
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        }
    return {name: value for name, value in told.items() if value is not None}


def _provider_of(deployment: Deployment) -> str:
    name = getattr(deployment.provider, "name", None) or type(deployment.provider).__name__
    return _PROVIDERS.get(str(name), str(name))
