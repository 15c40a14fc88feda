"""OpenTelemetry: one span per response, a child for every deployment that was asked, and metrics.

By the semantic conventions for generative AI. The only file that imports opentelemetry, and of it
the API alone: without an SDK that the host sets up, all of this does nothing.
"""

from collections.abc import Mapping, Sequence
from contextvars import Token
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

from responses_mw import outgoing
from responses_mw.records import TurnRecord
from responses_mw.routing.deployments import Deployment
from responses_mw.telemetry.batch import Batch

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


class OpenTelemetry:
    """An Observer. Without providers, the host's global ones.

    A span's parent is the one current where the request was taken, else the request's
    `traceparent`. Upstreams are sent the span of their own attempt.
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
        self._ended = Batch(self._measure_all)
        self._marks: dict[tuple[str | None, ...], _Marks] = {}

    def on_start(self, record: TurnRecord) -> None:
        span = self._tracer.start_span(
            f"{_OPERATION} {record.model}", _parent(record), attributes=_asked(record)
        )
        traced = _Trace(self._tracer, record, span)
        self._traces[record.id] = traced
        record.attempting.append(traced.attempting)

    def on_first_delta(self, record: TurnRecord) -> None:
        span = self._traces[record.id].span
        if span.is_recording() and record.first_delta_s is not None:
            seconds = record.first_delta_s - record.started_s
            span.set_attribute("gen_ai.response.time_to_first_chunk", seconds)

    def on_end(self, record: TurnRecord) -> None:
        traced = self._traces.pop(record.id)
        traced.end()
        self._ended.add((record, traced.provider, traced.context))

    async def flush(self) -> None:
        self._ended.drain()

    def _measure_all(self, ended: Sequence[tuple[TurnRecord, str, Context]]) -> None:
        for each in ended:
            self._measure(*each)

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


@dataclass(slots=True)
class _Opened:
    """A span that is current until it ends."""

    span: Span
    context: Context
    before: "Token[Context]"
    headers: "Token[Mapping[str, str]]"

    @classmethod
    def of(cls, span: Span, *, asks: bool) -> "_Opened":
        """`asks`: an upstream is asked within it."""
        headers: dict[str, str] = {}
        current = trace.set_span_in_context(span)
        if asks:
            propagate.inject(headers, current)
        return cls(span, current, context.attach(current), outgoing.HEADERS.set(headers))

    def close(self, error: str | None) -> None:
        """To be called in the order opposite to opening."""
        outgoing.HEADERS.reset(self.headers)
        context.detach(self.before)
        if error is not None:
            self.span.set_attribute("error.type", error)
            self.span.set_status(StatusCode.ERROR, error)
        self.span.end()


class _Trace:
    """Of one response. All of it happens in the task that generates it."""

    def __init__(self, tracer: trace.Tracer, record: TurnRecord, span: Span) -> None:
        self.span = span
        self.provider = "unknown"
        self._tracer = tracer
        self._record = record
        self._recorded = span.is_recording()
        # A trace that nobody records has no attempts of its own: upstreams hear of the turn.
        self._turn = _Opened.of(span, asks=not self._recorded)
        self._attempt: _Opened | None = None
        self._attempts = 0

    @property
    def context(self) -> Context:
        return self._turn.context

    def attempting(self, deployment: Deployment) -> None:
        self.provider = _provider_of(deployment)
        if not self._recorded:
            return
        self._close_attempt()
        self._attempts = len(self._record.attempts)
        model = deployment.model or self._record.model
        span = self._tracer.start_span(
            f"{_OPERATION} {model}",
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": _OPERATION,
                "gen_ai.provider.name": self.provider,
                "gen_ai.request.model": model,
                "responses_mw.deployment": str(deployment.id),
            },
        )
        self._attempt = _Opened.of(span, asks=True)

    def end(self) -> None:
        self._close_attempt()
        if self._recorded:
            self.span.set_attributes(
                {"gen_ai.provider.name": self.provider, **_answered(self._record)}
            )
        self._turn.close(self._record.error)

    def _close_attempt(self) -> None:
        if self._attempt is None:
            return
        noted = self._record.attempts[self._attempts :]
        failed = noted[-1].error if noted else None
        # One that began to answer and broke was noted as an answer.
        self._attempt.close(failed or self._record.error)
        self._attempt = None


def _parent(record: TurnRecord) -> Context:
    current = context.get_current()
    if not trace.get_current_span(current).get_span_context().is_valid and record.caller.trace:
        return propagate.extract(record.caller.trace, current)
    return current


def _asked(record: TurnRecord) -> Mapping[str, Any]:
    told: dict[str, Any] = {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.request.model": record.model,
        "gen_ai.request.stream": record.streamed,
        "gen_ai.response.id": record.id,
        "responses_mw.stored": record.stored,
        "responses_mw.background": record.background,
    }
    conversation = record.conversation or record.chain
    if conversation is not None:
        told["gen_ai.conversation.id"] = conversation
    return told


def _answered(record: TurnRecord) -> Mapping[str, Any]:
    usage, cost = record.usage, record.cost_nano
    told: dict[str, Any] = {
        _ANSWERED_BY: record.upstream_model,
        "responses_mw.status": record.status,
        "responses_mw.deployment": record.deployment,
        "responses_mw.fallback": record.fallback,
        "responses_mw.cost": None if cost is None else cost / _NANO,
    }
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
