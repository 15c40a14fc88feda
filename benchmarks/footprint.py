"""`scripts/bench footprint`: what a server takes before anybody asks, and what turns leave behind.

Time to import and to be ready, memory when idle and with streams open, and bytes in the database
beside the JSON of the turns that are in it.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import report
from benchmarks.cases import Case, Workload
from benchmarks.databases import database
from benchmarks.measure import Ratio
from benchmarks.processes import ROOT, environment, python, server
from benchmarks.report import Line
from benchmarks.running import bench, serve
from benchmarks.values import OWNER, Turns
from benchmarks.wire import Shape
from stores import open_store

_IMPORT = """
import time
began = time.perf_counter()
from responses_mw import ResponsesApp
print(time.perf_counter() - began)
"""
_OPEN = 64


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    print(report.machine("time"))
    found: list[dict[str, Any]] = []
    for name, measure in _PARTS.items():
        if options.only is None or options.only in name:
            print(f"\n{name}")
            for line in measure():
                print(line, flush=True)
                found.append({"part": name, **line.facts()})
    report.write(options.json, "footprint", {"lines": found})


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench footprint", description=__doc__)
    parser.add_argument("--only", metavar="PART", help=f"part of one of: {', '.join(_PARTS)}")
    parser.add_argument("--json", metavar="FILE", type=Path)
    return parser.parse_args(arguments)


def starting() -> list[Line]:
    imports, ready, idle = [], [], []
    with server(python("benchmarks.upstream")) as upstream:
        for _ in range(7):
            done = subprocess.run(
                [sys.executable, "-c", _IMPORT],
                cwd=ROOT,
                env=environment(),
                capture_output=True,
                text=True,
                check=True,
            )
            imports.append(float(done.stdout))
            with (
                tempfile.TemporaryDirectory(prefix="responses-mw-bench-") as folder,
                database("sqlite") as (url, _),
                serve(upstream.address, url, config=Path(folder, "config.yaml")) as served,
            ):
                ready.append(served.ready_s)
                time.sleep(0.2)
                idle.append(served.rss() / 1e6)
    return [
        Line("from responses_mw import ResponsesApp", Ratio.of(imports, 0.5), unit="s"),
        Line("responses-mw serve, until it listens", Ratio.of(ready, 1.5), unit="s"),
        Line("memory when idle", Ratio.of(idle, 120), unit="MB"),
    ]


def open_streams() -> list[Line]:
    """64 streams of 64 deltas, 50 ms apart; memory in the middle of the second round of them."""
    shape = Shape(gap_ms=50)
    workload = Workload("open", stream=True, cases=(), shape=shape, concurrency=_OPEN)
    grown = []
    for _ in range(3):
        with bench("sqlite", shapes=[shape]) as running:
            case = Case(name="depth 1")
            served = running.started(case).server
            ask = running.asking(workload, case)
            # What the first request loads is there whether one stream is open or many.
            running.client.run(replace(ask(1), concurrency=1))
            before = served.rss()
            load = threading.Thread(target=running.client.run, args=(ask(2 * _OPEN),))
            load.start()
            most = before
            while load.is_alive():
                most = max(most, served.rss())
                time.sleep(0.1)
            load.join()
            grown.append((most - before) / 1e6)
    return [Line(f"{_OPEN} open streams add", Ratio.of(grown, 32), unit="MB")]


def disk() -> list[Line]:
    """Chains of 20 turns, as a store keeps them."""

    async def fill(url: str, turns: Turns) -> int:
        content = 0
        async with open_store(url) as opened:
            for _ in range(100):
                last = await turns.chain(opened, 20)
                history = await opened.history(last, owner=OWNER)
                assert history is not None
                content += sum(turns.size_of(turn) for turn in history.turns)
        return content

    lines = []
    for store in ("sqlite", "postgres"):
        for size, spread, aim in ((540, 0, 2.2), (20_000, 0, 1.1), (20_000, 5_000, 1.1)):
            with database(store) as (url, used):
                empty = uvloop.run(_emptied(url, used))
                content = uvloop.run(fill(url, Turns(size, spread=spread)))
                ratio = (used() - empty) / content
                sizes = f"{size - spread} to {size + spread}" if spread else str(size)
                name = f"{store}, turns of {sizes} bytes, beside their JSON"
                lines.append(Line(name, Ratio.of([ratio], aim)))
    return lines


async def _emptied(url: str, used: Callable[[], int]) -> int:
    """Bytes of the schema alone."""
    async with open_store(url):
        pass
    return used()


_PARTS: dict[str, Callable[[], list[Line]]] = {
    "starting": starting,
    "open streams": open_streams,
    "disk": disk,
}
