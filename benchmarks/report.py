"""Figures for people, as a table of plain text, and for programs, as JSON."""

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.measure import Figures, Ratio

_COLUMNS = (
    ("", 26),
    ("CPU us", 8),
    ("x pass-through", 22),
    ("aim", 5),
    ("x another", 32),
    ("aim", 5),
    ("req/s", 7),
    ("p50 ms", 8),
    ("p99 ms", 8),
    ("first ms", 9),
    ("RSS MB", 7),
    ("db B/req", 9),
)


def header(title: str) -> str:
    first, *others = _COLUMNS
    cells = [f"{title:<{first[1]}}", *(f"{name:>{width}}" for name, width in others)]
    return " ".join(cells)


def row(figures: Figures) -> str:
    beside = figures.to_beside
    texts = (
        f"{figures.cpu:.0f}",
        ratio(figures.ratio),
        _aim(figures.ratio),
        "" if beside is None else f"{ratio(beside)} {figures.beside}",
        _aim(beside),
        f"{figures.per_second:.0f}",
        f"{figures.p50:.1f}",
        f"{figures.p99:.1f}",
        f"{figures.first:.1f}",
        f"{figures.rss / 1e6:.0f}",
        f"{figures.stored:.0f}",
    )
    widths = [width for _, width in _COLUMNS[1:]]
    cells = [f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)]
    return " ".join([f"  {figures.case:<{_COLUMNS[0][1] - 2}}", *cells])


def ratio(found: Ratio) -> str:
    return f"{found.median:.2f} ({found.least:.2f}-{found.most:.2f})"


def _aim(found: Ratio | None) -> str:
    return "" if found is None or found.aim is None else f"{found.aim:.2f}"


@dataclass(frozen=True, slots=True)
class Line:
    """One ratio that has an aim of its own: not more than that, or with `least` not less."""

    name: str
    found: Ratio
    least: bool = False
    unit: str = "x"
    note: str = ""

    @property
    def met(self) -> bool:
        aim, found = self.found.aim, self.found.median
        return aim is None or (found >= aim if self.least else found <= aim)

    def __str__(self) -> str:
        sign = ">=" if self.least else "<="
        aim = "" if self.found.aim is None else f"aim {sign} {self.found.aim:g}"
        verdict = "" if self.met else "MISSED"
        shown = f"{ratio(self.found)} {self.unit}"
        return f"  {self.name:<48} {shown:>26}  {aim:<12} {verdict:<7} {self.note}".rstrip()

    def facts(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def machine(measured: str = "CPU") -> str:
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {load:.1f} before the run; ratios are of {measured} in the same round, "
        "medians (min-max)"
    )


def as_json(found: Iterable[tuple[str, str, Figures]], **facts: Any) -> dict[str, Any]:
    """`found` holds store, workload and figures."""
    rows = [{"store": store, "workload": name, **asdict(figures)} for store, name, figures in found]
    return {**facts, "figures": rows}


def write(path: Path | None, kind: str, facts: dict[str, Any]) -> None:
    """What `scripts/bench plots` reads; `kind` is the command's name."""
    if path is not None:
        about = {"kind": kind, "python": platform.python_version(), "cores": os.cpu_count()}
        path.write_bytes(orjson.dumps({**about, **facts}, option=orjson.OPT_INDENT_2))
