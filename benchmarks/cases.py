"""What is measured, as data: a workload is one kind of answer, its cases are ways to ask for it.

All cases of a workload are run interleaved and set beside the pass-through of the same answers. A
new case is a line here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmarks.client import Job
from benchmarks.wire import Format, Shape, responses_request, upstream_path, upstream_request

PASS_THROUGH = "pass-through"
_SHORT = Shape()

Serving = Literal["through", "warm", "cold", "workers", "litellm"]
"""Who is asked: the pass-through, or a server that keeps histories in memory, one that keeps none,
or one of two workers; or LiteLLM's proxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`depth` is that of the turn itself, 1 for the first of a chain; it is kept about there.

    `aim` is for CPU beside the pass-through's, `beside_aim` for CPU beside that of the case
    `beside`. `concurrency` is the workload's unless it is given. `socket` asks over WebSockets,
    `chat` for chat completions.
    """

    name: str
    store: bool = True
    depth: int = 1
    concurrency: int | None = None
    serving: Serving = "warm"
    socket: bool = False
    chat: bool = False
    aim: float | None = None
    beside: str = "depth 1"
    beside_aim: float | None = None

    @property
    def start(self) -> int:
        """How many turns lie below the place where a connection begins and begins again."""
        return 0 if self.depth == 1 else max(0, self.depth - self.span // 2 - 1)

    @property
    def span(self) -> int:
        """How many turns a connection takes from there; its mean depth is the case's."""
        return 0 if self.depth == 1 else min(21, 2 * self.depth - 1)


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    stream: bool
    cases: tuple[Case, ...]
    shape: Shape = _SHORT
    concurrency: int = 16
    upstream: Format = "chat"
    quick: bool = False

    @property
    def model(self) -> str:
        return self.upstream + self.shape.prefix.replace("/", "-")

    def job(self, case: Case, *, port: int, requests: int, start: str | None = None) -> Job:
        if case.serving == "through":
            return self._through(port=port, requests=requests, concurrency=case.concurrency)
        body = responses_request(self.model, self.shape, stream=self.stream, store=case.store)
        check = "response stream" if self.stream else "response"
        path = "/v1/responses"
        if case.chat:
            body = upstream_request("chat", self.shape, stream=self.stream) | {"model": self.model}
            path, check = "/v1/chat/completions", "chat stream" if self.stream else "chat"
        if case.socket:
            del body["stream"]
            body, check = {"type": "response.create", **body}, "socket"
        return Job(
            port=port,
            path=path,
            body=body,
            check=check,
            shape=self.shape,
            requests=requests,
            concurrency=case.concurrency or self.concurrency,
            chain=case.span,
            start=start,
            depth=case.start,
            socket=case.socket,
        )

    def _through(self, *, port: int, requests: int, concurrency: int | None) -> Job:
        """One turn, whatever the depth of the cases: that asks the most of them."""
        return Job(
            port=port,
            path=self.shape.prefix + upstream_path(self.upstream, stream=self.stream),
            body=upstream_request(self.upstream, self.shape, stream=self.stream),
            check=self.upstream + (" stream" if self.stream else ""),
            shape=self.shape,
            requests=requests,
            concurrency=concurrency or self.concurrency,
        )

    def seed(self, *, port: int, turns: int, depth: int, start: str | None) -> Job:
        """Makes `turns` turns behind `start`, which has `depth` turns; the last answer's id is the
        chain's."""
        return Job(
            port=port,
            path="/v1/responses",
            body=responses_request(self.model, self.shape, stream=False, store=True),
            check="response",
            shape=self.shape,
            requests=turns,
            concurrency=1,
            chain=turns + 1,
            start=start,
            depth=depth,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes: `seconds` is one measurement's, of which there are `rounds`."""

    seconds: float
    rounds: int
    workloads: tuple[Workload, ...]


BASE = Case(name=PASS_THROUGH, serving="through", beside="")


def _streams(*, aims: Sequence[float | None] = (None, None, None)) -> tuple[Case, ...]:
    unstored, warm, cold = aims
    return (
        Case(name="store: false", store=False, aim=unstored),
        Case(name="depth 1"),
        Case(name="depth 20", depth=20, aim=warm),
        Case(name="depth 20, cold", depth=20, serving="cold", aim=cold),
    )


def _whole(*depths: tuple[int, float | None], first_aim: float | None = None) -> tuple[Case, ...]:
    deep = [Case(name=f"depth {depth}", depth=depth, beside_aim=aim) for depth, aim in depths]
    return (Case(name="store: false", store=False), Case(name="depth 1", aim=first_aim), *deep)


def _crowds() -> tuple[Case, ...]:
    """The same at other numbers of connections; 16 are the workload's own."""
    kinds = (Case(name="store: false", store=False), Case(name="depth 1"))
    cases = [
        replace(
            kind,
            name=f"{kind.name}, {count}",
            concurrency=count,
            beside=f"{kind.name}, 16",
            beside_aim=1.2 if count == 256 else None,
        )
        for kind in kinds
        for count in (1, 16, 64, 256)
    ]
    through = [
        replace(BASE, name=f"{PASS_THROUGH}, {count}", concurrency=count, beside=PASS_THROUGH)
        for count in (1, 64, 256)
    ]
    return (*through, *cases)


_ALL_DEPTHS = ((10, None), (100, 3.0), (500, 8.0), (1000, None))
_CHAT = (1.2, 1.5, 2.0)
_OTHERS = tuple(1.3 * aim for aim in _CHAT)
_SOCKETS = (
    Case(name="depth 1"),
    Case(name="socket, store: false", store=False, socket=True),
    Case(name="socket, depth 1", socket=True),
    Case(name="socket, depth 20", depth=20, socket=True),
)
_WORKERS = (
    Case(name="depth 1"),
    Case(name="depth 1, 2 workers", serving="workers"),
    Case(name="depth 20", depth=20),
    Case(name="depth 20, 2 workers", depth=20, serving="workers", beside="depth 20"),
)

WORKLOADS = (
    Workload("stream of 64", stream=True, cases=_streams(aims=_CHAT), quick=True),
    Workload("whole answer", stream=False, cases=_whole(*_ALL_DEPTHS, first_aim=2.5), quick=True),
    Workload(
        "whole answer, 20 KB turns",
        stream=False,
        cases=_whole(*((depth, None) for depth, _ in _ALL_DEPTHS)),
        shape=Shape(swell=40),
        concurrency=4,
    ),
    Workload("stream of 64, 2 ms apart", stream=True, cases=_streams(), shape=Shape(gap_ms=2)),
    Workload("stream of 1,000", stream=True, cases=_streams(), shape=Shape(1000)),
    Workload("connections", stream=True, cases=_crowds()),
    Workload("WebSocket", stream=True, cases=_SOCKETS),
    Workload("workers", stream=True, cases=_WORKERS, concurrency=64),
    Workload(
        "Anthropic, stream of 64", stream=True, cases=_streams(aims=_OTHERS), upstream="anthropic"
    ),
    Workload("Gemini, stream of 64", stream=True, cases=_streams(aims=_OTHERS), upstream="gemini"),
    Workload("Responses, stream of 64", stream=True, cases=_streams(), upstream="responses"),
    Workload("Anthropic, whole", stream=False, cases=_whole((100, None)), upstream="anthropic"),
    Workload("Gemini, whole", stream=False, cases=_whole((100, None)), upstream="gemini"),
    Workload("Responses, whole", stream=False, cases=_whole((100, None)), upstream="responses"),
)


def plan(*, quick: bool, only: str | None = None) -> Plan:
    """`only` is a part of a workload's name, or with `=` before it the whole."""
    chosen = tuple(
        workload
        for workload in WORKLOADS
        if (_named(only, workload.name) if only else workload.quick or not quick)
    )
    return Plan(0.6, 3, chosen) if quick else Plan(1.5, 7, chosen)


def _named(only: str, name: str) -> bool:
    if only.startswith("="):
        return only[1:].casefold() == name.casefold()
    return only.casefold() in name.casefold()


def compared(todo: Plan) -> Plan:
    """The same without a store, beside LiteLLM's proxy."""
    cases = (
        Case(name="store: false", store=False),
        Case(name="LiteLLM, responses", store=False, serving="litellm", beside="store: false"),
        Case(name="LiteLLM, chat", serving="litellm", chat=True, beside="store: false"),
    )
    chosen = [replace(each, cases=cases) for each in todo.workloads if each.upstream == "chat"]
    return replace(todo, workloads=tuple(chosen))


def configuration(upstream: str, shapes: Sequence[Shape] = ()) -> dict[str, Any]:
    """The server's, with a model for each workload, and for chat completions of other `shapes`.
    `upstream` is its address."""
    others = [Workload("", stream=False, cases=(), shape=shape) for shape in shapes]
    entries = {each.model: _entry(each, upstream) for each in (*WORKLOADS, *others)}
    return {"model_list": list(entries.values())}


def _entry(workload: Workload, upstream: str) -> dict[str, Any]:
    base = upstream + workload.shape.prefix
    match workload.upstream:
        case "anthropic":
            parameters: dict[str, Any] = {"model": "anthropic/m", "api_base": base}
        case "gemini":
            parameters = {"model": "gemini/m", "api_base": base}
        case "responses":
            parameters = {"model": "openai/m", "api_base": base}
        case "chat":
            parameters = {"model": "openai/m", "api_base": base, "use_chat_completions_api": True}
    return {"model_name": workload.model, "litellm_params": {**parameters, "api_key": "none"}}
