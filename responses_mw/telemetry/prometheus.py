"""Prometheus: counters and histograms of every response, and what waits at the moment of asking.

Names, labels and buckets are decided here; who may read them, in `metrics_routes`. The only file
that imports prometheus_client.
"""

import os
from bisect import bisect_left
from collections import Counter as Counted
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from responses_mw.batch import Batch, drain_all
from responses_mw.deltas import UsageReported
from responses_mw.records import Observer, TurnRecord
from responses_mw.telemetry.present import Present

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
_FIRST_DELTA = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 50)
_STORE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_NANO = 1_000_000_000
MOST_NAMES = 500
OTHERS = "others"
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's own: where the workers of one server add up their counters."""


class Prometheus(Observer):
    """With a registry of its own: two applications in one process never meet."""

    def __init__(self, now: Callable[[], Present] = Present) -> None:
        self.registry = CollectorRegistry()
        self._series: dict[tuple[str, str], _Series] = {}
        self._models: set[str] = set()
        self._errors: set[str] = set()
        registry, at = self.registry, ("model", "deployment")
        self._requests = Counter(
            "responses_mw_requests",
            "Responses that have ended, those that failed before any output included.",
            (*at, "status"),
            registry=registry,
        )
        self._tokens = Counter(
            "responses_mw_tokens",
            "Tokens; cached and cache_write are part of input, reasoning of output.",
            (*at, "kind"),
            registry=registry,
        )
        self._cost = Counter(
            "responses_mw_cost_dollars",
            "What they cost, where the price is known.",
            at,
            registry=registry,
        )
        self._unpriced = Counter(
            "responses_mw_unpriced_requests",
            "Responses that used tokens of unknown price.",
            at,
            registry=registry,
        )
        self._seconds = _Histogram(
            "responses_mw_request_seconds",
            "From request to end.",
            at,
            registry=registry,
            buckets=_SECONDS,
        )
        self._first = _Histogram(
            "responses_mw_first_delta_seconds",
            "From request to the first delta.",
            at,
            registry=registry,
            buckets=_FIRST_DELTA,
        )
        self._attempts = Counter(
            "responses_mw_failed_attempts",
            "Deployments that were asked and failed, whether or not another answered.",
            ("deployment", "error"),
            registry=registry,
        )
        self._store = _Histogram(
            "responses_mw_store_seconds",
            "A call of the store.",
            ("operation",),
            registry=registry,
            buckets=_STORE,
        )
        self.registry.register(_AtThisMoment(now))

    def observed(self, operation: str) -> Callable[[float], None]:
        """What is told how long each call of the store took."""
        return Batch(self._store.labels(operation).observe_all).add

    def exposed(self) -> bytes:
        """In the text format. With PROMETHEUS_MULTIPROC_DIR, counters and histograms are those of
        all workers, and what is at this moment is left out, for it is only this one's."""
        drain_all()
        if not os.environ.get(_MULTIPROCESS):
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]  # it has no types
        return generate_latest(everybody)

    def on_ended(self, records: Sequence[TurnRecord]) -> None:
        alike: dict[tuple[str, str | None, str], list[TurnRecord]] = defaultdict(list)
        for record in records:
            alike[record.model, record.deployment, record.status].append(record)
            for attempt in record.attempts:
                if attempt.error is not None:
                    error = _one_of(self._errors, attempt.error)
                    self._attempts.labels(attempt.deployment, error).inc()
        for (model, deployment, status), together in alike.items():
            labels = (_one_of(self._models, model), deployment or "")
            self._requests.labels(*labels, status).inc(len(together))
            self._of(*labels).count(together)

    def _of(self, model: str, deployment: str) -> "_Series":
        found = self._series.get((model, deployment))
        if found is None:
            labels = (model, deployment)
            found = self._series[labels] = _Series(
                tokens={kind: self._tokens.labels(*labels, kind) for kind in _KINDS},
                cost=self._cost.labels(*labels),
                unpriced=self._unpriced.labels(*labels),
                seconds=self._seconds.labels(*labels),
                first=self._first.labels(*labels),
            )
        return found


def _one_of(known: set[str], name: str) -> str:
    """Behind a wildcard clients make names, and upstreams make codes. Each is kept for ever."""
    if name not in known:
        if len(known) >= MOST_NAMES:
            return OTHERS
        known.add(name)
    return name


_KINDS: Mapping[str, Callable[[UsageReported], int]] = {
    "input": attrgetter("input_tokens"),
    "output": attrgetter("output_tokens"),
    "cached": attrgetter("cached_tokens"),
    "cache_write": attrgetter("cache_write_tokens"),
    "reasoning": attrgetter("reasoning_tokens"),
}


@dataclass(frozen=True, slots=True)
class _Series:
    """Of one model and deployment: finding them by label takes longer than counting."""

    tokens: Mapping[str, Counter]
    cost: Counter
    unpriced: Counter
    seconds: "_Histogram"
    first: "_Histogram"

    def count(self, records: Sequence[TurnRecord]) -> None:
        ends = [each.ended_s - each.started_s for each in records if each.ended_s is not None]
        self.seconds.observe_all(ends)
        first = [
            each.first_delta_s - each.started_s
            for each in records
            if each.first_delta_s is not None
        ]
        self.first.observe_all(first)
        used = [record.usage for record in records if record.usage is not None]
        for kind, tokens_of in _KINDS.items():
            if tokens := sum(map(tokens_of, used)):
                self.tokens[kind].inc(tokens)
        costs = [record.cost_nano for record in records if record.cost_nano is not None]
        if costs:
            self.cost.inc(sum(costs) / _NANO)
        unpriced = sum(record.cost_nano is None for record in records if record.usage is not None)
        if unpriced:
            self.unpriced.inc(unpriced)


class _Histogram(Histogram):
    def observe_all(self, amounts: Sequence[float]) -> None:
        """As if each was observed: that takes longer than all else that is counted of a response,
        and many at a time fall into few buckets."""
        if not amounts:
            return
        bounds = self._upper_bounds
        for bucket, count in Counted(bisect_left(bounds, amount) for amount in amounts).items():
            self._buckets[bucket].inc(count)
        self._sum.inc(sum(amounts))


class _AtThisMoment:
    """A collector that asks when it is asked."""

    def __init__(self, now: Callable[[], Present]) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        now = self._now()
        running = GaugeMetricFamily(
            "responses_mw_running", "Responses being generated.", labels=["kind"]
        )
        running.add_metric(["foreground"], now.running - now.running_in_background)
        running.add_metric(["background"], now.running_in_background)
        yield running
        yield GaugeMetricFamily(
            "responses_mw_store_calls", "Store calls waiting or under way.", now.store_calls
        )
        cooling = GaugeMetricFamily(
            "responses_mw_deployment_cooling",
            "1 while a deployment is left alone after failures.",
            labels=["deployment"],
        )
        for deployment, health in now.health.items():
            cooling.add_metric([deployment], float(health == "cooling"))
        yield cooling
        yield from _of_callbacks(now)

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked at registration."""
        return ()


def _of_callbacks(now: Present) -> Iterable[Metric]:
    waiting = GaugeMetricFamily(
        "responses_mw_callback_waiting", "Events that wait for a callback.", labels=["callback"]
    )
    dropped = CounterMetricFamily(
        "responses_mw_callback_dropped", "Events a callback was too slow for.", labels=["callback"]
    )
    failed = CounterMetricFamily(
        "responses_mw_callback_failed", "Events a callback raised at.", labels=["callback"]
    )
    total: dict[str, list[int]] = {}
    for name, *counts in now.callbacks:
        before = total.get(name, [0, 0, 0])
        total[name] = [one + other for one, other in zip(before, counts, strict=True)]
    for name, (waits, drops, failures) in total.items():
        waiting.add_metric([name], waits)
        dropped.add_metric([name], drops)
        failed.add_metric([name], failures)
    return waiting, dropped, failed
