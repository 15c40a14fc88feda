"""What telemetry costs: one server with it switched off and on, as CPU per request in each round.

"off" is measured twice, and all are set beside the mean of both: what either is beside it is what
this machine cannot tell from nothing.
"""

import argparse
import contextlib
import math
import random
import statistics
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import orjson

from benchmarks import report
from benchmarks.cases import WORKLOADS, Case, Workload, configuration
from benchmarks.client import Job
from benchmarks.databases import STORES, database
from benchmarks.processes import Client, Server, client, python, server

_PROC = Path("/proc")

WAYS: Mapping[str, str] = {
    "off": "",
    "off, again": "",
    "log": "log",
    "Prometheus": "prometheus",
    "traces, 1 in 100": "traces",
    "log, Prometheus, traces": "log,prometheus,traces",
    "traces, OTel metrics": "traces+metrics",
    "every trace": "every trace",
}
"""What the switch of `watched` is told."""
CASES = ("stream of 64/store: false", "stream of 64/depth 20", "whole answer/depth 1")


@dataclass(frozen=True, slots=True)
class Seen:
    """CPU a request in microseconds, one for each round."""

    way: str
    cpu: tuple[float, ...]

    def row(self, off: Sequence[float]) -> str:
        more = [100 * (own / other - 1) for own, other in zip(self.cpu, off, strict=True)]
        least, most = _sure(more)
        extra = statistics.median(own - other for own, other in zip(self.cpu, off, strict=True))
        return (
            f"  {self.way:<24} {statistics.median(self.cpu):>8.0f} {extra:>+8.0f}"
            f" {statistics.median(more):>+8.1f} % ({least:+.1f} to {most:+.1f})"
        )


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    print(report.machine().partition(";")[0])
    cases = [_found(name) for name in options.case or CASES]
    ways = [way for way in WAYS if not WAYS[way] or way in (options.way or WAYS)]
    with _serving(options.store) as (load, served):
        for workload, case in cases:
            print(f"\n{workload.name}, {case.name}, {options.store}, {options.rounds} rounds")
            print(f"  {'':<24} {'CPU us':>8} {'more us':>8} {'more':>10} (95 % sure of)")
            job = _sized(load, served.port, workload, case, options.seconds)
            seen = _measured(load, served, job, ways, rounds=options.rounds)
            off = [statistics.fmean(both) for both in zip(seen[0].cpu, seen[1].cpu, strict=True)]
            for each in seen:
                print(each.row(off), flush=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each way, in each round")
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--case", action="append", metavar="WORKLOAD/CASE", help=f"{CASES}")
    parser.add_argument("--way", action="append", choices=[*WAYS], help="default: all")
    return parser.parse_args(arguments)


def _found(name: str) -> tuple[Workload, Case]:
    for workload in WORKLOADS:
        for case in workload.cases:
            if f"{workload.name}/{case.name}" == name:
                return workload, case
    raise SystemExit(f"no case {name!r}; there are {', '.join(CASES)}")


@contextlib.contextmanager
def _serving(store: str) -> Iterator[tuple[Client, Server]]:
    with contextlib.ExitStack() as running:
        load = running.enter_context(client())
        upstream = running.enter_context(server(python("benchmarks.upstream")))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        config = folder / "config.yaml"
        config.write_bytes(orjson.dumps(configuration(upstream.address)))
        url, _ = running.enter_context(database(store))
        yield load, running.enter_context(server(python("benchmarks.watched", str(config), url)))


def _sized(load: Client, port: int, workload: Workload, case: Case, seconds: float) -> Job:
    """Of about so long, on a server that is warm."""
    start = None
    if case.start:
        start = load.run(workload.seed(port=port, turns=case.start, depth=0, start=None)).last

    def job(requests: int) -> Job:
        return workload.job(case, port=port, requests=requests, start=start)

    trial = 4 * workload.concurrency
    load.run(job(trial))
    rate = trial / load.run(job(trial)).seconds
    return job(max(trial, int(rate * seconds)))


def _measured(
    load: Client, served: Server, job: Job, ways: Sequence[str], *, rounds: int
) -> list[Seen]:
    runs: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        # Each time in another order: who comes after whom makes a difference, too.
        for name in random.Random(number).sample(ways, len(ways)):
            runs[name].append(_cpu(load, served, job, WAYS[name]))
    return [Seen(name, tuple(cpu)) for name, cpu in runs.items()]


def _switch(served: Server, ways: str) -> None:
    asked = urllib.request.Request(
        f"{served.address}/watch?{quote(ways, safe=',+')}", method="POST"
    )
    urllib.request.urlopen(asked, timeout=10).close()


def _cpu(load: Client, served: Server, job: Job, ways: str) -> float:
    _switch(served, ways)
    before = _busy(served)
    load.run(job)
    _switch(served, ways)  # what was put by, and is counted then, is part of what telemetry costs
    return (_busy(served) - before) / job.requests / 1000


def _busy(served: Server) -> int:
    """Nanoseconds of all its threads: ticks are too coarse for runs as short as these."""
    stats = (_PROC / str(served.pid) / "task").glob("*/schedstat")
    return sum(int(stat.read_text().split()[0]) for stat in stats)


def _sure(values: Sequence[float]) -> tuple[float, float]:
    """Between which the median lies at 95 %, whatever the distribution: two of the values."""
    ordered, n = sorted(values), len(values)
    below = max(0, math.floor(n / 2 - 0.98 * math.sqrt(n)))
    return ordered[below], ordered[n - 1 - below]
