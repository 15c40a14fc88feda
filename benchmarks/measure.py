"""Runs the cases of a workload in turns, and makes figures of what was seen.

The machine may be busy with other things. So a figure is the median of several short runs, and a
ratio is the median of what each run was beside the pass-through's of the same round.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.cases import PASS_THROUGH, Case, Plan, Workload
from benchmarks.client import Job, Result
from benchmarks.processes import Client, Server

Asking = Callable[[int], Job]
"""Makes a job of so many requests."""

OTHER = ", other"
"""Ends the names of what another checkout does."""

_SETTLING_S = 0.05
"""What a server still does just after its last answer is that answer's, too."""


@dataclass(frozen=True, slots=True)
class Run:
    """Of one case in one round. `cpu` in microseconds a request."""

    cpu: float
    per_second: float
    result: Result
    grown: int
    rss: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one case, medians over the rounds. Microseconds, milliseconds, bytes.

    `ratio` is CPU beside the pass-through's, with the least and the most of any round; `to_first`
    is CPU beside the workload's first stored turn (depth 1).
    """

    case: str
    cpu: float
    ratio: float
    ratio_range: tuple[float, float]
    to_first: float | None
    per_second: float
    p50: float
    p99: float
    first: float
    rss: int
    stored: float
    requests: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A server under test. `size` is how many bytes its database has."""

    server: Server
    size: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Task:
    """`first` names the task that the column "x depth 1" sets it beside."""

    stored: Stored
    job: Job
    first: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that is running. `other` serves another checkout, to be set beside this one."""

    client: Client
    through: Server
    served: Stored
    other: Stored | None = None

    def workload(self, workload: Workload, plan: Plan) -> Iterator[Figures]:
        tasks = self._tasks(workload, plan)
        runs: dict[str, list[Run]] = {name: [] for name in tasks}
        for _ in range(plan.rounds):
            for name, task in tasks.items():
                runs[name].append(self._run(task))
        for name, task in tasks.items():
            yield _figures(name, runs[name], runs[PASS_THROUGH], runs.get(task.first))

    def lasting(self, workload: Workload, case: Case, *, seconds: float) -> Job:
        """One case for a while, on a server that is warm."""
        return self._sized(self._asking(self.served, workload, case), workload, seconds)

    def _tasks(self, workload: Workload, plan: Plan) -> dict[str, Task]:
        """Each warmed up, and as long as the plan wants it."""

        def through(requests: int) -> Job:
            return workload.baseline(port=self.through.port, requests=requests)

        nothing = Stored(self.through, lambda: 0)
        job = self._sized(through, workload, plan.seconds)
        tasks = {PASS_THROUGH: Task(nothing, job)}
        first = next((case.name for case in workload.cases if case.store), "")
        for case in workload.cases:
            for suffix, stored in (("", self.served), (OTHER, self.other)):
                if stored is not None:
                    asking = self._asking(stored, workload, case)
                    job = self._sized(asking, workload, plan.seconds)
                    tasks[case.name + suffix] = Task(stored, job, first + suffix)
        return tasks

    def _asking(self, stored: Stored, workload: Workload, case: Case) -> Asking:
        port = stored.server.port
        seed = workload.seed(case, port=port)
        start = None if seed is None else self.client.run(seed).last
        return lambda requests: workload.job(case, port=port, requests=requests, start=start)

    def _sized(self, job: Asking, workload: Workload, seconds: float) -> Job:
        trial = 4 * workload.concurrency
        self.client.run(job(trial))
        rate = trial / self.client.run(job(trial)).seconds
        return job(max(trial, int(rate * seconds)))

    def _run(self, task: Task) -> Run:
        stored, job, server = task.stored, task.job, task.stored.server
        cpu, size = server.cpu(), stored.size()
        result = self.client.run(job)
        time.sleep(_SETTLING_S)
        cpu, size = server.cpu() - cpu, stored.size() - size
        return Run(
            cpu=cpu / job.requests * 1e6,
            per_second=job.requests / result.seconds,
            result=result,
            grown=size,
            rss=server.rss(),
        )


def _figures(name: str, seen: list[Run], base: list[Run], first: list[Run] | None) -> Figures:
    def median(of: Callable[[Run], float]) -> float:
        return statistics.median(map(of, seen))

    ratios = _ratios(seen, base)
    requests = sum(len(run.result.latencies) for run in seen)
    return Figures(
        case=name,
        cpu=median(lambda run: run.cpu),
        ratio=statistics.median(ratios),
        ratio_range=(min(ratios), max(ratios)),
        to_first=None if first is None else statistics.median(_ratios(seen, first)),
        per_second=median(lambda run: run.per_second),
        p50=median(lambda run: statistics.median(run.result.latencies)),
        p99=median(lambda run: _percentile(run.result.latencies, 0.99)),
        first=median(lambda run: statistics.median(run.result.firsts)),
        rss=seen[-1].rss,
        stored=sum(run.grown for run in seen) / requests,
        requests=requests,
    )


def _ratios(seen: list[Run], base: list[Run]) -> list[float]:
    return [run.cpu / other.cpu for run, other in zip(seen, base, strict=True)]


def _percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
