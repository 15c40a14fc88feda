"""The command behind `scripts/bench`: starts everything, measures, prints."""

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from benchmarks import profiling, report
from benchmarks.cases import WORKLOADS, Case, Workload, configuration, plan
from benchmarks.databases import STORES, database
from benchmarks.measure import Bench, Figures, Stored
from benchmarks.processes import ROOT, Server, client, python, server
from benchmarks.wire import BrokenRun


def main() -> int:
    options = _options()
    # So that everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        if options.profile:
            _profile(options.profile, options.store[0])
        else:
            _measure(options)
    except BrokenRun as error:
        notes = getattr(error, "__notes__", ())
        print("broken run, nothing was measured:", error, *notes, sep="\n", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    names = "; ".join(workload.name for workload in WORKLOADS)
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about half a minute")
    parser.add_argument("--only", metavar="WORKLOAD", help=f"part of the name of one of: {names}")
    parser.add_argument("--store", action="append", choices=STORES, help="default: sqlite")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there, too")
    parser.add_argument(
        "--against", metavar="DIR", type=Path, help="another checkout to run beside this one"
    )
    parser.add_argument(
        "--profile", metavar="WORKLOAD/CASE", help="where CPU goes, as in 'stream of 64/depth 20'"
    )
    options = parser.parse_args()
    options.store = options.store or ["sqlite"]
    if not plan(quick=options.quick, only=options.only).workloads:
        parser.error(f"no workload is called {options.only!r}; there are {names}")
    if options.against is not None:
        options.against = options.against.resolve()
        if not (options.against / "responses_mw").is_dir():
            parser.error(f"{options.against} is not a checkout: it has no responses_mw")
    return options


@contextlib.contextmanager
def _bench(store: str, *before: str | Path, against: Path | None = None) -> Iterator[Bench]:
    """`before` stands before the server's own command: a profiler. `against`: another checkout."""
    with contextlib.ExitStack() as running:
        load = running.enter_context(client())
        upstream = running.enter_context(server(python("benchmarks.upstream")))
        passing = python("benchmarks.passthrough", upstream.address)
        through = running.enter_context(server(passing))
        served = running.enter_context(_serving(store, upstream, ROOT, before))
        other = None
        if against is not None:
            other = running.enter_context(_serving(store, upstream, against, ()))
        yield Bench(load, through, served, other)


@contextlib.contextmanager
def _serving(
    store: str, upstream: Server, tree: Path, before: Sequence[str | Path]
) -> Iterator[Stored]:
    with (
        tempfile.TemporaryDirectory(prefix="responses-mw-bench-") as folder,
        database(store) as (url, size),
    ):
        config = Path(folder, "config.yaml")
        config.write_bytes(orjson.dumps(configuration(upstream.address)))  # JSON is YAML, too
        program = Path(sys.executable).with_name("responses-mw")
        command = [*(before or (sys.executable,)), program, "serve", "--config", config]
        # uvicorn dies of the SIGTERM that ended it, before a profiler could write.
        end = signal.SIGINT if before else signal.SIGTERM
        with server([*command, "--store", url, "--port", "0"], tree=tree, end=end) as served:
            yield Stored(served, size)


def _measure(options: argparse.Namespace) -> None:
    print(report.machine())
    if options.against is not None:
        print(f"other: {options.against}")
    todo = plan(quick=options.quick, only=options.only)
    found: list[tuple[str, str, Figures]] = []
    started: dict[str, dict[str, float]] = {}
    for store in options.store:
        with _bench(store, against=options.against) as bench:
            started[store] = _start(bench.served.server)
            print(
                f"\n{store}: ready after {started[store]['ready_s']:.2f} s, "
                f"idle {started[store]['idle_rss'] / 1e6:.0f} MB"
            )
            for workload in todo.workloads:
                print("\n" + report.header(workload.name))
                for figures in bench.workload(workload, todo):
                    print(report.row(figures), flush=True)
                    found.append((store, workload.name, figures))
    if options.json is not None:
        facts = report.as_json(found, started=started, against=str(options.against or ""))
        options.json.write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))


def _start(served: Server) -> dict[str, float]:
    time.sleep(0.2)
    return {"ready_s": served.ready_s, "idle_rss": served.rss()}


def _profile(name: str, store: str) -> None:
    workload, case = _find(name)
    spy = profiling.py_spy()
    if spy is not None:
        with _bench(store) as bench:
            job = bench.lasting(workload, case, seconds=profiling.SECONDS + 1)
            print(profiling.sample(spy, bench.served.server, bench.client, job))
        return
    with tempfile.TemporaryDirectory(prefix="responses-mw-bench-") as folder:
        out = Path(folder, "profile")
        with _bench(store, sys.executable, "-m", "cProfile", "-o", out) as bench:
            bench.client.run(bench.lasting(workload, case, seconds=profiling.SECONDS))
        print(profiling.of_profile(out))


def _find(name: str) -> tuple[Workload, Case]:
    for workload in WORKLOADS:
        for case in workload.cases:
            if f"{workload.name}/{case.name}" == name:
                return workload, case
    known = "\n".join(
        f"  {workload.name}/{case.name}" for workload in WORKLOADS for case in workload.cases
    )
    sys.exit(f"no case {name!r}; there are\n{known}")


if __name__ == "__main__":
    sys.exit(main())
