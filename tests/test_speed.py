"""A guard against getting slower: CPU of a turn beside a pass-through's of the same answer.

`benchmarks/reference.json` has what `scripts/bench` found, as workload, case, and ratio. Whoever
makes turns faster writes the new ratios there; half as much again fails. It is a ratio within one
short run, the median of interleaved rounds, and measured again before it fails: the machine may be
busy.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from benchmarks.cases import WORKLOADS, Plan
from benchmarks.measure import Bench
from benchmarks.processes import ROOT
from benchmarks.running import bench

REFERENCE: dict[str, dict[str, float]] = orjson.loads(
    Path(ROOT, "benchmarks", "reference.json").read_bytes()
)
SLOWER = 1.5
ROUNDS, SECONDS = 5, 0.2


@pytest.fixture(scope="module")
def running() -> Iterator[Bench]:
    with bench("sqlite") as started:
        yield started


@pytest.mark.parametrize("workload", REFERENCE)
def test_a_turn_costs_less_than_half_as_much_again_as_it_did(running: Bench, workload: str) -> None:
    most = {case: SLOWER * ratio for case, ratio in REFERENCE[workload].items()}

    found = measured(running, workload)
    if any(found[case] > most[case] for case in most):
        again = measured(running, workload)
        found = {case: min(found[case], again[case]) for case in most}

    assert {case: found[case] for case in most if found[case] > most[case]} == {}, (
        f"CPU in multiples of a pass-through's, at most {most}; see where it goes with "
        "scripts/bench --profile"
    )


def measured(running: Bench, name: str) -> dict[str, float]:
    (workload,) = [each for each in WORKLOADS if each.name == name]
    chosen = tuple(case for case in workload.cases if case.name in REFERENCE[name])
    plan = Plan(SECONDS, ROUNDS, (workload,))
    figures = running.workload(replace(workload, cases=chosen), plan)
    return {each.case: each.ratio.median for each in figures}
