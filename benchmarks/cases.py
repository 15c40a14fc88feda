"""What is measured, as data: a workload is one kind of answer, its cases are ways to ask for it.

All cases of a workload are run interleaved and set beside the pass-through of the same answers. A
new case is a line here.
"""

from dataclasses import dataclass
from typing import Any

from benchmarks.client import Job
from benchmarks.wire import PATHS, Format, responses_request, upstream_request

PASS_THROUGH = "pass-through"


@dataclass(frozen=True, slots=True)
class Case:
    """`depth` is that of the turn itself, 1 for the first of a chain; it is kept about there."""

    name: str
    store: bool = True
    depth: int = 1

    @property
    def start(self) -> int:
        """How many turns lie below the place where a connection begins and begins again."""
        return 0 if self.depth == 1 else self.depth - self.span // 2 - 1

    @property
    def span(self) -> int:
        """How many turns a connection takes from there; its mean depth is the case's."""
        return 0 if self.depth == 1 else min(21, self.depth)


@dataclass(frozen=True, slots=True)
class Workload:
    """`gap_ms` between two deltas; 0: as fast as they go, each in a packet of its own."""

    name: str
    stream: bool
    cases: tuple[Case, ...]
    deltas: int = 64
    concurrency: int = 16
    gap_ms: float = 0
    upstream: Format = "chat"
    quick: bool = True

    @property
    def prefix(self) -> str:
        """Of the upstream's paths: see upstream.py."""
        return f"/{self.deltas}/{self.gap_ms:g}"

    @property
    def model(self) -> str:
        return f"{self.upstream}-{self.deltas}-{self.gap_ms:g}"

    def job(self, case: Case, *, port: int, requests: int, start: str | None = None) -> Job:
        check = "response stream" if self.stream else "response"
        return Job(
            port=port,
            path="/v1/responses",
            body=responses_request(self.model, stream=self.stream, store=case.store),
            check=check,
            deltas=self.deltas,
            first='"delta":" w' if self.stream else '"text":" w',
            requests=requests,
            concurrency=self.concurrency,
            chain=case.span,
            start=start,
            depth=case.start,
        )

    def baseline(self, *, port: int, requests: int) -> Job:
        """One turn straight through, whatever the depth of the cases: that asks the most of
        them."""
        marks = {"chat": '"content":" w', "anthropic": '"text":" w'}
        return Job(
            port=port,
            path=self.prefix + PATHS[self.upstream],
            body=upstream_request(self.upstream, stream=self.stream),
            check=self.upstream + (" stream" if self.stream else ""),
            deltas=self.deltas,
            first=marks[self.upstream],
            requests=requests,
            concurrency=self.concurrency,
        )

    def seed(self, case: Case, *, port: int) -> Job | None:
        """Makes the turns below `case.start`; the last answer's id is where the case starts."""
        if case.start == 0:
            return None
        return Job(
            port=port,
            path="/v1/responses",
            body=responses_request(self.model, stream=False, store=True),
            check="response",
            deltas=self.deltas,
            first='"text":" w',
            requests=case.start,
            concurrency=1,
            chain=case.start + 1,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes: `seconds` is one measurement's, of which there are `rounds`."""

    seconds: float
    rounds: int
    workloads: tuple[Workload, ...]


_STREAM = (Case("store: false", store=False), Case("depth 1"), Case("depth 20", depth=20))
_WHOLE = (
    Case("store: false", store=False),
    Case("depth 1"),
    Case("depth 100", depth=100),
    Case("depth 500", depth=500),
)
WORKLOADS = (
    Workload("stream of 64", stream=True, cases=_STREAM),
    Workload("whole answer", stream=False, cases=_WHOLE),
    Workload("stream of 64, 2 ms apart", stream=True, cases=_STREAM, gap_ms=2, quick=False),
    Workload("stream of 1,000", stream=True, cases=_STREAM[:2], deltas=1000, quick=False),
    Workload(
        "Anthropic, stream of 64", stream=True, cases=_STREAM, upstream="anthropic", quick=False
    ),
    Workload("Anthropic, whole", stream=False, cases=_WHOLE[:3], upstream="anthropic", quick=False),
)


def plan(*, quick: bool, only: str | None = None) -> Plan:
    """`only` is a part of a workload's name."""
    chosen = tuple(
        workload
        for workload in WORKLOADS
        if (only.casefold() in workload.name.casefold() if only else workload.quick or not quick)
    )
    return Plan(0.6, 3, chosen) if quick else Plan(1.5, 7, chosen)


def configuration(upstream: str) -> dict[str, Any]:
    """The server's, with a model for each workload. `upstream` is its address."""

    def entry(workload: Workload) -> dict[str, Any]:
        base = upstream + workload.prefix
        if workload.upstream == "anthropic":
            parameters: dict[str, Any] = {"model": "anthropic/m", "api_base": base}
        else:
            parameters = {"model": "openai/m", "api_base": base, "use_chat_completions_api": True}
        return {"model_name": workload.model, "litellm_params": parameters}

    models = {workload.model: entry(workload) for workload in WORKLOADS}
    return {"model_list": list(models.values())}
