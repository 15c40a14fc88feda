"""`scripts/bench`: what a turn costs, beside a pass-through and beside other turns."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import profiling, report
from benchmarks.cases import WORKLOADS, Case, Workload, compared, plan
from benchmarks.databases import STORES
from benchmarks.measure import Figures
from benchmarks.running import bench


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    if options.profile:
        _profile(options.profile, options.store[0])
    else:
        _measure(options)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    names = "; ".join(workload.name for workload in WORKLOADS)
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--only", metavar="WORKLOAD", help=f"part of a name, or =NAME, of: {names}")
    parser.add_argument("--store", action="append", choices=STORES, help="default: sqlite")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there, too")
    parser.add_argument(
        "--against", metavar="DIR", type=Path, help="another checkout to run beside this one"
    )
    parser.add_argument(
        "--compare", choices=("litellm",), help="beside its proxy, nothing stored; see LITELLM"
    )
    parser.add_argument(
        "--profile", metavar="WORKLOAD/CASE", help="where CPU goes, as in 'stream of 64/depth 20'"
    )
    options = parser.parse_args(arguments)
    options.store = options.store or ["sqlite"]
    if not plan(quick=options.quick, only=options.only).workloads:
        parser.error(f"no workload is called {options.only!r}; there are {names}")
    if options.against is not None:
        options.against = options.against.resolve()
        if not (options.against / "responses_mw").is_dir():
            parser.error(f"{options.against} is not a checkout: it has no responses_mw")
    return options


def _measure(options: argparse.Namespace) -> None:
    print(report.machine())
    if options.against is not None:
        print(f"other: {options.against}")
    todo = plan(quick=options.quick, only=options.only)
    if options.compare:
        todo = compared(todo if options.only else plan(quick=True))
    found: list[tuple[str, str, Figures]] = []
    for store in options.store:
        print(f"store: {store}")
        # Servers of their own for each: what one workload left in memory is not another's.
        for workload in todo.workloads:
            print("\n" + report.header(workload.name), flush=True)
            with bench(store, against=options.against) as running:
                for figures in running.workload(workload, todo):
                    print(report.row(figures), flush=True)
                    found.append((store, workload.name, figures))
            report.write(options.json, "turns", report.as_json(found))


def _profile(name: str, store: str) -> None:
    workload, case = _find(name)
    spy = profiling.py_spy()
    if spy is not None:
        with bench(store) as running:
            job = running.lasting(workload, case, seconds=profiling.SECONDS + 1)
            served = running.started(case).server
            print(profiling.sample(spy, served, running.client, job))
        return
    with tempfile.TemporaryDirectory(prefix="responses-mw-bench-") as folder:
        out = Path(folder, "profile")
        before = (sys.executable, "-m", "cProfile", "-o", out)
        with bench(store, before=before) as running:
            job = running.lasting(workload, case, seconds=profiling.SECONDS)
            running.client.run(job)
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
