"""Figures for people, as a table of plain text, and for programs, as JSON."""

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from benchmarks.measure import Figures

_COLUMNS = (
    ("", 24),
    ("CPU us", 8),
    ("x pass-through", 22),
    ("x depth 1", 10),
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
    least, most = figures.ratio_range
    to_first = "" if figures.to_first is None else f"{figures.to_first:.2f}"
    texts = (
        f"{figures.cpu:.0f}",
        f"{figures.ratio:.2f} ({least:.2f}-{most:.2f})",
        to_first,
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


def machine() -> str:
    load = os.getloadavg()[0]
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {load:.1f} before the run; ratios are of CPU in the same round, medians (min-max)"
    )


def as_json(found: Iterable[tuple[str, str, Figures]], **facts: Any) -> dict[str, Any]:
    """`found` holds store, workload and figures."""
    rows = [{"store": store, "workload": name, **asdict(figures)} for store, name, figures in found]
    return {"python": platform.python_version(), "cores": os.cpu_count(), **facts, "figures": rows}
