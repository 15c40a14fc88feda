"""The long run: what the tests of this folder do briefly is done here at length, and written down.

`scripts/soak --minutes 30`. Each part goes on where another failed; the exit code says whether any
did.
"""

import argparse
import asyncio
import contextlib
import csv
import logging
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import postgres_server
from faulty import outlast_a_lock
from hypothesis.errors import HypothesisException
from idle import idle_streams
from kills import survive
from lives import live
from steady import Load, load
from victims import REPOSITORY, nursery

STEPS = 50
TITLES = {"sqlite": "SQLite", "postgres": "Postgres"}
MEASURES = {
    "resident_mib": "resident MiB",
    "tasks": "tasks",
    "threads": "threads",
    "files": "open files",
}


@dataclass
class Report:
    """`rows` are what was done and what came of it."""

    command: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, what: str, came: str, failures: list[str] | None = None) -> None:
        self.rows.append((what, came))
        self.failures += failures or []
        print(f"{what}: {came}", *(failures or []), sep="\n  ", flush=True)

    @contextlib.contextmanager
    def part(self, what: str) -> Iterator[None]:
        """What fails in it is noted, and does not end the run."""
        begun = time.monotonic()
        try:
            yield
        except (AssertionError, OSError, httpx.HTTPError, HypothesisException) as error:
            self.add(what, "FAILED", [f"{what}: {type(error).__name__}: {error}"])
        print(f"  ({what} took {time.monotonic() - begun:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30, help="of steady load; 0: none")
    parser.add_argument("--kills", type=int, default=200, help="on each database; 0: none")
    parser.add_argument("--lives", type=int, default=200, help="on each database; 0: none")
    parser.add_argument("--locked", type=float, default=30, help="seconds; 0: not at all")
    parser.add_argument("--idle", type=int, default=1000, help="streams; 0: none")
    parser.add_argument(
        "--out",
        type=Path,
        default=REPOSITORY / "docs" / "soak",
        help="what is written, without its ending: .md, and after a load .csv and .png",
    )
    asked = parser.parse_args()
    report = Report(" ".join(["scripts/soak", *sys.argv[1:]]))
    logging.disable(logging.CRITICAL)  # what would be said was provoked
    with databases() as (folder, stores):
        for name, store in stores.items():
            if asked.kills:
                with report.part(f"{TITLES[name]}, killed {asked.kills} times"):
                    kill(report, name, store, kills=asked.kills)
            if asked.lives:
                with report.part(f"{TITLES[name]}, {asked.lives} random lives"):
                    live(store, lives=asked.lives, steps=STEPS, the_same=False)
                    what = f"{TITLES[name]}, {asked.lives} random lives of {STEPS} steps"
                    report.add(what, "each step as the model says")
        if asked.locked:
            with report.part("SQLite, locked by another process"):
                lock(report, folder, seconds=asked.locked)
        if asked.idle:
            with report.part("Idle streams"):
                asyncio.run(idle(report, stores["sqlite"], count=asked.idle))
        loads: dict[str, Load] = {}
        if asked.minutes:
            with report.part("Load"):
                loads = asyncio.run(steady(stores, minutes=asked.minutes))
            tell(report, loads, minutes=asked.minutes)
    if loads:
        keep(loads, asked.out.with_suffix(".csv"))
        draw(loads, asked.out.with_suffix(".png"))
    write(report, asked.out, drawn=bool(loads))
    sys.exit(bool(report.failures))


@contextlib.contextmanager
def databases() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder for whatever is written, and a URL of each database."""
    with tempfile.TemporaryDirectory(prefix="rmw-soak-") as name:
        folder = Path(name)
        stores = {"sqlite": f"sqlite:///{folder}/soak.db"}
        binaries = postgres_server.find_binaries()
        if binaries is None:
            print(postgres_server.UNAVAILABLE, file=sys.stderr)
            yield folder, stores
            return
        home = Path(tempfile.mkdtemp(prefix="rmw-soak-pg-"))
        server = postgres_server.start(binaries, home)
        try:
            yield folder, {**stores, "postgres": f"postgresql://postgres@/postgres?host={home}"}
        finally:
            postgres_server.stop(server)
            shutil.rmtree(home)


# --- parts


def kill(report: Report, name: str, store: str, *, kills: int) -> None:
    with nursery(store) as born:
        tally = asyncio.run(survive(born, store, kills=kills, seed=random.randrange(1 << 30)))
    came = f"{tally.acknowledged:,} turns acknowledged, {tally.cut:,} cut short"
    came += f", {len(tally.losses)} lost"
    report.add(f"{TITLES[name]}, killed {tally.kills.total()} times", came, tally.losses)


def lock(report: Report, folder: Path, *, seconds: float) -> None:
    asyncio.run(outlast_a_lock(folder / "locked.db", locked_s=seconds, busy_s=5))
    what = f"SQLite, locked for {seconds:g} s by another process"
    report.add(what, "the turn under way was kept, another one sent away with 503")


async def idle(report: Report, store: str, *, count: int) -> None:
    with nursery(store) as born:
        async with idle_streams(born.start(), count) as each:
            report.add(f"{count:,} open streams on which nothing is said", f"{each:.0f} KiB each")


async def steady(stores: dict[str, str], *, minutes: float) -> dict[str, Load]:
    """All databases at once."""
    with contextlib.ExitStack() as stack:
        born = {name: stack.enter_context(nursery(stores[name])) for name in stores}
        victims = [born[name].start() for name in stores]
        seconds = minutes * 60
        sample_s = min(5.0, seconds / 20)
        loads = await asyncio.gather(
            *(load(victim, seconds=seconds, sample_s=sample_s) for victim in victims)
        )
    return dict(zip(stores, loads, strict=True))


def tell(report: Report, loads: dict[str, Load], *, minutes: float) -> None:
    for name, it in loads.items():
        what = f"{TITLES[name]}, {minutes:g} minutes of steady load"
        came = f"{it.turns:,} turns, {len(it.losses)} lost"
        report.add(what, came, [f"{TITLES[name]}: {failure}" for failure in it.losses + it.grown()])
        for measure, (early, late) in it.growth().items():
            came = f"{early:.1f} in the second quarter, {late:.1f} in the last"
            report.add(f"{TITLES[name]}, {MEASURES[measure]}", came)


# --- what is written


def keep(loads: dict[str, Load], path: Path) -> None:
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["database", "seconds", *MEASURES, "turns"])
        for name, it in loads.items():
            for sample in it.samples:
                lines.writerow([name, *asdict(sample).values()])


def draw(loads: dict[str, Load], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(4, 1, sharex=True, figsize=(8, 7), layout="constrained")
    for axis, (measure, label) in zip(axes, MEASURES.items(), strict=True):
        for name, it in loads.items():
            minutes = [sample.seconds / 60 for sample in it.samples]
            values = [asdict(sample)[measure] for sample in it.samples]
            axis.plot(minutes, values, linewidth=0.9, label=TITLES[name])
        axis.set_ylabel(label)
        axis.set_ylim(0, axis.get_ylim()[1] * 1.1)
    axes[0].legend(loc="lower right")
    axes[-1].set_xlabel("minutes of steady load")
    figure.savefig(path, dpi=100)


def write(report: Report, out: Path, *, drawn: bool) -> None:
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    lines = ["# A long run", "", f"Written by `{report.command}` ({machine}).", "", "| | |"]
    lines += ["|---|---|", *(f"| {what} | {came} |" for what, came in report.rows), ""]
    if report.failures:
        lines += ["Failures:", "", *(f"- {failure}" for failure in report.failures[:100]), ""]
    if drawn:
        lines += [
            f"![Memory, tasks, threads and open files of both servers over time]({out.name}.png)",
            "",
            f"The figures behind the picture are in [{out.name}.csv]({out.name}.csv).",
            "",
        ]
    out.with_suffix(".md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
