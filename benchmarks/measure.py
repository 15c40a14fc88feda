"""Runs the cases of a workload in turns, and makes figures of what was seen.

The machine may be busy with other things. So a figure is the median of several short runs, and a
ratio is the median of what each run was beside another's of the same round.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.cases import BASE, PASS_THROUGH, Case, Plan, Serving, Workload
from benchmarks.client import Job, Result
from benchmarks.processes import Client, Server
from benchmarks.wire import BrokenRun

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
class Ratio:
    """The median of the rounds, with the least and the most of any."""

    median: float
    least: float
    most: float
    aim: float | None = None

    @classmethod
    def of(cls, values: list[float], aim: float | None = None) -> "Ratio":
        return cls(statistics.median(values), min(values), max(values), aim)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one case, medians over the rounds. Microseconds, milliseconds, bytes.

    `ratio` is CPU beside the pass-through's, `to_beside` CPU beside the case `beside`'s.
    """

    case: str
    depth: int
    concurrency: int
    cpu: float
    ratio: Ratio
    beside: str
    to_beside: Ratio | None
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
    case: Case
    stored: Stored
    job: Job
    suffix: str = ""


@dataclass(slots=True)
class Bench:
    """Everything that is running. `serving` starts a server where it does not run yet, None where
    there can be none; `other` does for another checkout, to be set beside this one."""

    client: Client
    serving: Callable[[Serving], Stored | None]
    other: Callable[[Serving], Stored | None] | None = None
    _chains: dict[tuple[int, str], dict[int, str | None]] = field(default_factory=dict)

    def workload(self, workload: Workload, plan: Plan) -> Iterator[Figures]:
        tasks = self._tasks(workload, plan)
        runs: dict[str, list[Run]] = {name: [] for name in tasks}
        for _ in range(plan.rounds):
            for name, task in tasks.items():
                runs[name].append(self._run(task))
        for name, task in tasks.items():
            beside = runs.get(task.case.beside + task.suffix)
            yield _figures(name, task, runs[name], runs[PASS_THROUGH], beside)

    def lasting(self, workload: Workload, case: Case, *, seconds: float) -> Job:
        """One case for a while, on a server that is warm."""
        return self._sized(self.asking(workload, case), seconds)

    def asking(self, workload: Workload, case: Case) -> Asking:
        """Makes the case's jobs, of any number of requests."""
        return self._asking(self.started(case), workload, case)

    def started(self, case: Case) -> Stored:
        """Who serves the case. Raises BrokenRun where nobody can."""
        stored = self.serving(case.serving)
        if stored is None:
            raise BrokenRun(f"nobody can serve {case.name!r} from this store")
        return stored

    def _tasks(self, workload: Workload, plan: Plan) -> dict[str, Task]:
        """Each warmed up, and as long as the plan wants it."""
        tasks: dict[str, Task] = {}
        for case in (BASE, *workload.cases):
            for suffix, serving in (("", self.serving), (OTHER, self.other)):
                if serving is None or (suffix and case.serving == "through"):
                    continue
                stored = serving(case.serving)
                if stored is not None:
                    job = self._sized(self._asking(stored, workload, case), plan.seconds)
                    tasks[case.name + suffix] = Task(case, stored, job, suffix)
        return tasks

    def _asking(self, stored: Stored, workload: Workload, case: Case) -> Asking:
        port = stored.server.port
        start = self._chain(port, workload, case.start)
        return lambda requests: workload.job(case, port=port, requests=requests, start=start)

    def _chain(self, port: int, workload: Workload, depth: int) -> str | None:
        """A chain of so many turns; one chain of a workload grows for all its cases."""
        known = self._chains.setdefault((port, workload.model), {0: None})
        if depth not in known:
            below = max(each for each in known if each < depth)
            turns, start = depth - below, known[below]
            job = workload.seed(port=port, turns=turns, depth=below, start=start)
            known[depth] = self.client.run(job).last
        return known[depth]

    def _sized(self, asking: Asking, seconds: float) -> Job:
        trial = 4 * asking(1).concurrency
        self.client.run(asking(trial))
        rate = trial / self.client.run(asking(trial)).seconds
        return asking(max(trial, int(rate * seconds)))

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


def _figures(
    name: str, task: Task, seen: list[Run], base: list[Run], beside: list[Run] | None
) -> Figures:
    def median(of: Callable[[Run], float]) -> float:
        return statistics.median(map(of, seen))

    case = task.case
    requests = sum(len(run.result.latencies) for run in seen)
    return Figures(
        case=name,
        depth=case.depth,
        concurrency=task.job.concurrency,
        cpu=median(lambda run: run.cpu),
        ratio=Ratio.of(_ratios(seen, base), case.aim),
        beside=case.beside,
        to_beside=(
            None
            if beside is None or beside is seen
            else Ratio.of(_ratios(seen, beside), case.beside_aim)
        ),
        per_second=median(lambda run: run.per_second),
        p50=median(lambda run: statistics.median(run.result.latencies)),
        p99=median(lambda run: percentile(run.result.latencies, 0.99)),
        first=median(lambda run: statistics.median(run.result.firsts)),
        rss=seen[-1].rss,
        stored=sum(run.grown for run in seen) / requests,
        requests=requests,
    )


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def _ratios(seen: list[Run], base: list[Run]) -> list[float]:
    return [run.cpu / other.cpu for run, other in zip(seen, base, strict=True)]
