"""`scripts/bench slow`: a thousand streams at once on one worker, each with a delta every 50 ms.

They begin spread over the length of one, as people would, and then all in the same moment. What is
looked at is how long the first delta takes, beside the pass-through, and whether any stream stood
still once it had begun.
"""

import argparse
import resource
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.cases import BASE, Case, Workload
from benchmarks.client import Job, Result
from benchmarks.databases import STORES
from benchmarks.measure import Bench, Ratio, percentile
from benchmarks.report import Line
from benchmarks.running import bench
from benchmarks.wire import Shape

CASES = (
    BASE,
    Case(name="store: false", store=False),
    Case(name="depth 1"),
    Case(name="depth 20", depth=20),
)
_FILES = 16_384
STARVED_MS = 1000
"""Twenty times the gap between two deltas."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Milliseconds; `cpu` is the part of one core that the server had."""

    case: str
    start: str
    firsts: list[float]
    silences: list[float]
    cpu: float
    rss: int

    def __str__(self) -> str:
        firsts, silences = self.firsts, self.silences
        return (
            f"  {self.case:<14} {statistics.median(firsts):>9.1f} {percentile(firsts, 0.99):>9.1f}"
            f" {max(firsts):>9.1f} {percentile(silences, 0.99):>9.1f} {max(silences):>9.1f}"
            f" {100 * self.cpu:>6.0f} {self.rss / 1e6:>7.0f}"
        )


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    _allow_files()
    print(report.machine("time"))
    shape = Shape(gap_ms=options.gap)
    workload = Workload("slow", stream=True, cases=CASES, shape=shape, concurrency=options.streams)
    found: list[dict[str, Any]] = []
    with bench(options.store, shapes=[shape]) as running:
        for start, ramp_s, each in (("spread", 64 * options.gap / 1000, 3), ("at once", 0, 1)):
            print(f"\n{options.streams} streams, {start}; a delta every {options.gap:g} ms")
            print(f"  {'ms':<14} {'first p50':>9} {'p99':>9} {'most':>9}", end=" ")
            print(f"{'still p99':>9} {'most':>9} {'CPU %':>6} {'RSS MB':>7}")
            seen = []
            for case in CASES:
                seen.append(_run(running, workload, case, ramp_s=ramp_s, each=each, start=start))
                print(seen[-1], flush=True)
            for line in _lines(seen):
                print(line)
                found.append({"start": start, **line.facts()})
            found += [{"start": start, "case": each.case, "firsts": each.firsts} for each in seen]
    report.write(options.json, "slow", {"streams": options.streams, "found": found})


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench slow", description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--gap", type=float, default=50, metavar="MS")
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--json", metavar="FILE", type=Path)
    return parser.parse_args(arguments)


def _allow_files() -> None:
    """Two for each stream, in the server; processes started from here inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _run(
    running: Bench, workload: Workload, case: Case, *, ramp_s: float, each: int, start: str
) -> Seen:
    """Each connection asks `each` times. The first time around, connections are only opened."""
    server = running.started(case).server
    count = workload.concurrency

    def job(requests: int) -> Job:
        return replace(running.asking(workload, case)(requests), ramp_s=ramp_s)

    running.client.run(replace(job(64), concurrency=64, ramp_s=0))
    cpu = server.cpu()
    result: Result = running.client.run(job(each * count))
    cpu = (server.cpu() - cpu) / result.seconds
    return Seen(case.name, start, result.firsts, result.silences, cpu, server.rss())


def _lines(seen: Sequence[Seen]) -> list[Line]:
    through, *served = seen
    base = percentile(through.firsts, 0.99)
    lines = []
    for each in served:
        ratio = percentile(each.firsts, 0.99) / base
        lines.append(Line(f"{each.case}: p99 to first delta", Ratio.of([ratio], 2)))
    for each in seen:
        still = sum(silence > STARVED_MS for silence in each.silences)
        name = f"{each.case}: streams still for {STARVED_MS} ms"
        lines.append(Line(name, Ratio.of([float(still)], 0), unit=""))
    return lines
