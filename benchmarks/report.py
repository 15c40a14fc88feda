"""Figures for people, as a table of plain text, and for programs, as JSON."""

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
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


def aimed(name: str, found: Ratio | float, aim: float, unit: str = "x") -> str:
    """One line of a measurement that has a limit of its own: `name  1.23 (1.10-1.40) x`."""
    shown = ratio(found) if isinstance(found, Ratio) else f"{found:.2f}"
    value = found.median if isinstance(found, Ratio) else found
    verdict = "" if value <= aim else "   MISSED"
    return f"  {name:<44} {shown:>24} {unit:<4} aim {aim:g}{verdict}"


def machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {load:.1f} before the run; ratios are of CPU in the same round, medians (min-max)"
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
