"""What telemetry costs: the same server with it off and on, as CPU per request in the same rounds.

"off" runs twice, and all are set beside the mean of both: what either is beside it is what this
machine cannot tell from nothing.
"""

import argparse
import contextlib
import math
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks import report
from benchmarks.cases import WORKLOADS, Case, Workload, configuration
from benchmarks.client import Job
from benchmarks.databases import STORES, database
from benchmarks.processes import Client, Server, client, python, server

_SETTLING_S = 0.5
"""What is put by, and counted a moment later, is part of what telemetry costs."""
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Watched:
    """A way to watch the server. `sampled`: the part of traces that is recorded; None: no SDK.
    `measured`: OpenTelemetry's metrics, too."""

    name: str
    log: bool = False
    metrics: bool = False
    sampled: float | None = None
    measured: bool = False

    @property
    def command(self) -> list[str]:
        """What is served, up to its options."""
        settings = [f"RESPONSES_MW_METRICS={'open' if self.metrics else 'off'}"]
        settings += ["RESPONSES_MW_LOG=json"] if self.log else []
        program = python("responses_mw.cli")
        if self.sampled is not None:
            settings.append("RESPONSES_MW_OTEL=1")
            with_metrics = ["metrics"] if self.measured else []
            program = python("benchmarks.traced", str(self.sampled), *with_metrics)
        return ["/usr/bin/env", *settings, *program, "serve"]


WAYS = (
    Watched("off"),
    Watched("off, again"),
    Watched("log", log=True),
    Watched("Prometheus", metrics=True),
    Watched("traces, 1 in 100", sampled=0.01),
    Watched("traces, OTel metrics", sampled=0.01, measured=True),
    Watched("log, Prometheus, traces", log=True, metrics=True, sampled=0.01),
    Watched("everything, every trace", log=True, metrics=True, sampled=1, measured=True),
)
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
    with _serving(options.store) as (load, servers):
        for workload, case in cases:
            print(f"\n{workload.name}, {case.name}, {options.store}, {options.rounds} rounds")
            print(f"  {'':<24} {'CPU us':>8} {'more us':>8} {'more':>10} (95 % sure of)")
            jobs = [_sized(load, each.port, workload, case, options.seconds) for each in servers]
            seen = _measured(load, servers, jobs, rounds=options.rounds)
            off = tuple(
                statistics.fmean(both) for both in zip(seen[0].cpu, seen[1].cpu, strict=True)
            )
            for each in seen:
                print(each.row(off), flush=True)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each server in each round")
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--case", action="append", metavar="WORKLOAD/CASE", help=f"{CASES}")
    return parser.parse_args(arguments)


def _found(name: str) -> tuple[Workload, Case]:
    for workload in WORKLOADS:
        for case in workload.cases:
            if f"{workload.name}/{case.name}" == name:
                return workload, case
    raise SystemExit(f"no case {name!r}; there are {', '.join(CASES)}")


@contextlib.contextmanager
def _serving(store: str) -> Iterator[tuple[Client, list[Server]]]:
    """A server of each way, all at once: their rounds lie between one another's."""
    with contextlib.ExitStack() as running:
        load = running.enter_context(client())
        upstream = running.enter_context(server(python("benchmarks.upstream")))
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        config = folder / "config.yaml"
        config.write_bytes(orjson.dumps(configuration(upstream.address)))
        servers = []
        for way in WAYS:
            url, _ = running.enter_context(database(store))
            options = ["--config", str(config), "--store", url, "--port", "0"]
            servers.append(running.enter_context(server([*way.command, *options])))
        yield load, servers


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
    load: Client, servers: Sequence[Server], jobs: Sequence[Job], *, rounds: int
) -> list[Seen]:
    runs: list[list[float]] = [[] for _ in servers]
    for number in range(rounds):
        # Each time in another order: who comes after whom makes a difference, too.
        for n in random.Random(number).sample(range(len(servers)), len(servers)):
            runs[n].append(_cpu(load, servers[n], jobs[n]))
    return [Seen(way.name, tuple(cpu)) for way, cpu in zip(WAYS, runs, strict=True)]


def _cpu(load: Client, served: Server, job: Job) -> float:
    before = _busy(served)
    load.run(job)
    time.sleep(_SETTLING_S)
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
