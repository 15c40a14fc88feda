"""`scripts/bench million`: every route with a million responses stored, beside an empty database.

Two servers of the same code, one on each database, are asked the same in turns. The rows are put
there by `seeding.py`, half of them of the one who asks. It takes minutes, and 4 GB below TMPDIR.
"""

import argparse
import contextlib
import datetime
import http.client
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from benchmarks import report
from benchmarks.databases import database
from benchmarks.measure import Ratio
from benchmarks.processes import Server, python, server
from benchmarks.report import Line
from benchmarks.running import serve
from benchmarks.seeding import Crowd, fill
from benchmarks.wire import BrokenRun, Shape, question

SHAPE = Shape()
MODEL = "chat" + SHAPE.prefix.replace("/", "-")
DEPTH = 20
ROUTE_AIM, USAGE_AIM_MS = 1.2, 200


@dataclass(slots=True)
class Asked:
    """A connection to one server, and what was made there to ask for; `some` are responses that
    lie anywhere."""

    server: Server
    connection: http.client.HTTPConnection = field(init=False)
    made: dict[str, str] = field(default_factory=dict)
    some: Iterator[str] = field(default_factory=lambda: iter(()))

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Raises BrokenRun for what is no success."""
        content = None if body is None else orjson.dumps(body)
        self.connection.request(
            method, path, content, {"content-type": "application/json", "authorization": "Bearer k"}
        )
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise BrokenRun(f"{method} {path}: {answer.status} {said[:500]!r}")
        return orjson.loads(said) if said.startswith((b"{", b"[")) else said

    def respond(self, **fields: Any) -> str:
        body = {"model": MODEL, "input": question(SHAPE), **fields}
        id: str = self.ask("POST", "/v1/responses", body)["id"]
        return id

    def prepare(self) -> None:
        """What the routes ask for, and a pattern of each table's rows."""
        ids = [self.respond()]
        while len(ids) < DEPTH:
            ids.append(self.respond(previous_response_id=ids[-1]))
        talk = _talk(self)
        self.made = {"response": ids[-1], "chain": ids[-2]}
        self.respond(conversation=talk)
        items = self.ask("GET", f"/v1/conversations/{talk}/items")["data"]
        self.made |= {"talk": talk, "item": items[0]["id"], "key": _key(self)}
        self.some = itertools.cycle(ids)
        self.connection.close()  # it opens again by itself; kept open it may be idle for too long


def _response(asked: Asked) -> str:
    return asked.respond()


def _background(asked: Asked) -> str:
    return asked.respond(background=True)


def _talk(asked: Asked) -> str:
    id: str = asked.ask("POST", "/v1/conversations", {})["id"]
    return id


def _key(asked: Asked) -> str:
    key: str = asked.ask("POST", "/key/generate", {"user_id": "somebody"})["key"]
    return key


# --- the routes

Act = Callable[[Asked], float]
"""Asks once; answers how many seconds the question itself took."""


def _on(
    method: str, path: str, body: Any = None, *, new: Callable[[Asked], str] | None = None
) -> Act:
    """`{names}` in path and body stand for what was made, `{}` for what `new` makes just before."""

    def act(asked: Asked) -> float:
        made = "" if new is None else new(asked)
        named = path.format(made, any=next(asked.some), **asked.made)
        said = _filled(body, made, asked)
        began = time.perf_counter()
        asked.ask(method, named, said)
        return time.perf_counter() - began

    return act


def _filled(body: Any, made: str, asked: Asked) -> Any:
    match body:
        case dict():
            return {name: _filled(value, made, asked) for name, value in body.items()}
        case list():
            return [_filled(value, made, asked) for value in body]
        case str():
            return body.format(made, any=next(asked.some), **asked.made)
        case _:
            return body


_ONE = {"model": MODEL, "input": question(SHAPE)}
_ITEMS = {"items": [{"type": "message", "role": "user", "content": "Hello."}]}
_DATA = {"metadata": {"a": "b"}}
_USER = {"user_id": "somebody"}

ROUTES: dict[str, Act] = {
    "POST /responses": _on("POST", "/v1/responses", _ONE),
    "POST /responses, store: false": _on("POST", "/v1/responses", {**_ONE, "store": False}),
    "POST /responses, depth 20, read from the store": _on(
        "POST", "/v1/responses", {**_ONE, "previous_response_id": "{chain}"}
    ),
    "POST /responses, behind any": _on(
        "POST", "/v1/responses", {**_ONE, "previous_response_id": "{any}"}
    ),
    "POST /responses, in a conversation": _on(
        "POST", "/v1/responses", {**_ONE, "conversation": "{}"}, new=_talk
    ),
    "GET /responses/ID": _on("GET", "/v1/responses/{response}"),
    "GET /responses/ID, any": _on("GET", "/v1/responses/{any}"),
    "GET /responses/ID/input_items, any": _on("GET", "/v1/responses/{any}/input_items"),
    "DELETE /responses/ID": _on("DELETE", "/v1/responses/{}", new=_response),
    "POST /responses/ID/cancel": _on("POST", "/v1/responses/{}/cancel", {}, new=_background),
    "POST /responses/input_tokens": _on("POST", "/v1/responses/input_tokens", _ONE),
    "POST /responses/compact": _on("POST", "/v1/responses/compact", _ONE),
    "POST /conversations": _on("POST", "/v1/conversations", {}),
    "POST /conversations/ID": _on("POST", "/v1/conversations/{talk}", _DATA),
    "GET /conversations/ID": _on("GET", "/v1/conversations/{talk}"),
    "DELETE /conversations/ID": _on("DELETE", "/v1/conversations/{}", new=_talk),
    "GET /conversations/ID/items": _on("GET", "/v1/conversations/{talk}/items"),
    "POST /conversations/ID/items": _on("POST", "/v1/conversations/{}/items", _ITEMS, new=_talk),
    "GET /conversations/ID/items/ID": _on("GET", "/v1/conversations/{talk}/items/{item}"),
    "POST /key/generate": _on("POST", "/v1/key/generate", _USER),
    "GET /key/info": _on("GET", "/v1/key/info?key={key}"),
    "GET /models": _on("GET", "/v1/models"),
    "GET /health/ready": _on("GET", "/v1/health/ready"),
}


# --- the run


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    print(report.machine("time"))
    found: list[dict[str, Any]] = []
    for store in options.store or ["sqlite", "postgres"]:
        print(f"\n{store}: {options.responses:,} responses", flush=True)
        for line in _measure(store, Crowd(options.responses // DEPTH), options):
            print(line, flush=True)
            found.append({"store": store, **line.facts()})
    report.write(options.json, "million", {"responses": options.responses, "lines": found})


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench million", description=__doc__)
    parser.add_argument("--responses", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9, help="of twenty questions to each route")
    parser.add_argument("--store", action="append", choices=("sqlite", "postgres"))
    parser.add_argument("--json", metavar="FILE", type=Path)
    return parser.parse_args(arguments)


def _measure(store: str, crowd: Crowd, options: argparse.Namespace) -> Iterator[Line]:
    with contextlib.ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="responses-mw-bench-"))
        upstream = running.enter_context(server(python("benchmarks.upstream")))
        config = Path(folder, "config.yaml")
        databases = [running.enter_context(database(store)) for _ in range(2)]
        (empty_url, _), (full_url, size) = databases
        with serve(upstream.address, full_url, config=config) as first:
            Asked(first).prepare()  # a pattern of each table's rows
        began = time.perf_counter()
        fill(full_url, crowd)
        print(f"  filled in {time.perf_counter() - began:.0f} s, {size() / 1e9:.1f} GB", flush=True)
        asked = []
        for url in (empty_url, full_url):
            served = running.enter_context(serve(upstream.address, url, config=config))
            asked.append(Asked(served))
            asked[-1].prepare()
        asked[1].some = itertools.cycle(crowd.ids(2000))
        took: dict[str, list[list[float]]] = {name: [[], []] for name in ROUTES}
        for _ in range(options.rounds):
            for name, act in ROUTES.items():
                for medians, median in zip(took[name], _round(act, asked), strict=True):
                    medians.append(median)
        for name, medians in took.items():
            yield _beside(name, *medians)
        yield from _usage(asked[1])


def _round(act: Act, asked: Sequence[Asked]) -> list[float]:
    """The median of each in twenty questions."""
    seen: list[list[float]] = [[] for _ in asked]
    for number in range(20):
        pairs = list(zip(seen, asked, strict=True))
        for times, each in pairs if number % 2 else reversed(pairs):
            times.append(act(each))
    return [statistics.median(times) for times in seen]


def _beside(name: str, empty: list[float], full: list[float]) -> Line:
    """The better half of the rounds on each database, the best beside the best and so on: for
    seconds at a time one database's process lies on another core than who asks it, which makes
    every statement slower by half."""
    half = len(full) // 2 + 1
    pairs = zip(sorted(empty)[:half], sorted(full)[:half], strict=True)
    note = f"{statistics.median(full) * 1000:.1f} ms"
    return Line(name, Ratio.of([b / a for a, b in pairs], ROUTE_AIM), note=note)


def _usage(full: Asked) -> Iterator[Line]:
    """Over one owner and one day."""
    (mine,) = full.ask("GET", "/v1/usage?group_by=owner&limit=1")["data"][:1]
    day = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    asked = f"/v1/usage?owner={mine['owner']}&day={day}"
    for groups in ("", "model", "user,model,status"):
        path = asked + (f"&group_by={groups}" if groups else "")
        took = []
        for _ in range(7):
            began = time.perf_counter()
            answer = full.ask("GET", path)
            took.append((time.perf_counter() - began) * 1000)
        name = f"GET /usage, one owner, one day{f', by {groups}' if groups else ''}"
        requests = sum(row["requests"] for row in answer["data"])
        yield Line(name, Ratio.of(took, USAGE_AIM_MS), unit="ms", note=f"{requests} responses")
