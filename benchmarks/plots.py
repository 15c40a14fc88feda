"""`scripts/bench plots FILE...`: figures under docs/, of what other commands wrote with `--json`.

Of files from `turns`: CPU beside the pass-through with what is aimed for, and CPU by the depth of a
conversation. Of a file from `slow`: how long the first delta of a thousand streams took.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.cases import PASS_THROUGH
from benchmarks.measure import OTHER, percentile
from benchmarks.processes import ROOT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]

BAR, AIM, GREY = "#3b6ea5", "#c4572e", "#8a8a8a"
_LINES = ("#3b6ea5", "#c4572e", "#5a9367", "#8a8a8a")


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    read = [orjson.loads(path.read_bytes()) for path in options.files]
    rows = [row for facts in read if facts["kind"] == "turns" for row in facts["figures"]]
    slow = [facts for facts in read if facts["kind"] == "slow"]
    if not rows and not slow:
        sys.exit("nothing to draw: none of these files is from `turns` or `slow`")
    rows = [row for row in rows if not row["case"].endswith(OTHER)]
    if any(row["ratio"]["aim"] is not None for row in rows):
        _draw(options.to / f"cpu-ratios.{options.format}", _ratios, rows)
    if any(row["depth"] > 20 for row in rows):
        _draw(options.to / f"cpu-by-depth.{options.format}", _depths, rows)
    if slow:
        _draw(options.to / f"first-delta.{options.format}", _firsts, slow[-1])


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench plots", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--to", type=Path, default=ROOT / "docs", metavar="FOLDER")
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    return parser.parse_args(arguments)


def _draw(path: Path, draw: Any, facts: Any) -> None:
    import matplotlib as mpl  # an extra, and slow to import

    mpl.use("Agg")
    # The same text gives the same file, which a browser sets in its own font.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "rmw", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.2), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    figure.set_size_inches(7.5, draw(axes, facts) or 4.2)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
    print(path)


def _ratios(axes: "Axes", rows: Sequence[Row]) -> float:
    """A bar for each case that has an aim, with the least and the most of any round."""
    shown = [row for row in rows if row["ratio"]["aim"] is not None][::-1]
    stores = {row["store"] for row in shown}
    named = ("workload", "case", "store") if len(stores) > 1 else ("workload", "case")
    names = [", ".join(row[part] for part in named) for row in shown]
    found = [row["ratio"] for row in shown]
    medians = [each["median"] for each in found]
    spread = [
        [each["median"] - each["least"] for each in found],
        [each["most"] - each["median"] for each in found],
    ]
    places = range(len(shown))
    axes.barh(places, medians, height=0.6, color=BAR)
    axes.errorbar(medians, places, xerr=spread, fmt="none", ecolor="black", elinewidth=0.8)
    aims = [each["aim"] for each in found]
    axes.plot(aims, places, "|", color=AIM, markersize=15, markeredgewidth=2.5, label="aim")
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(places, names)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_xlabel("CPU of a request, in multiples of a pass-through proxy's (1)")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    return 1.4 + 0.32 * len(shown)


def _depths(axes: "Axes", rows: Sequence[Row]) -> None:
    """A line for each workload and store in which conversations of several depths were asked."""
    from matplotlib.ticker import LogLocator, NullFormatter

    lines: dict[str, list[tuple[int, float, float, float]]] = {}
    for row in rows:
        whole = row["case"] == f"depth {row['depth']}"
        if whole and row["workload"].startswith("whole"):
            base, found = row["cpu"] / row["ratio"]["median"], row["ratio"]
            point = (row["depth"], *(found[key] * base / 1000 for key in _SPREAD))
            lines.setdefault(f"{row['workload']}, {row['store']}", []).append(point)
    for color, (name, points) in zip(_LINES, lines.items(), strict=False):
        depths, medians, least, most = zip(*sorted(points), strict=True)
        axes.plot(depths, medians, "o-", color=color, label=name, markersize=4)
        axes.fill_between(depths, least, most, color=color, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("turns in the conversation, all of which are sent to the upstream")
    axes.set_ylabel("CPU of a turn, milliseconds")
    axes.grid(axis="y", color=GREY, alpha=0.3, linewidth=0.5)
    axes.legend(frameon=False)


_SPREAD = ("median", "least", "most")


def _firsts(axes: "Axes", facts: Row) -> None:
    """How many streams had their first delta within how long."""
    seen = [row for row in facts["found"] if row.get("firsts") and row["start"] == "spread"]
    for color, row in zip(_LINES, _through_last(seen), strict=False):
        parts = [number / 200 for number in range(200)] + [1]
        firsts = [percentile(row["firsts"], part) for part in parts]
        axes.plot(firsts, [100 * part for part in parts], color=color, label=row["case"])
    axes.axhline(99, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(0, 101)
    axes.set_xlabel(f"milliseconds to the first delta, {facts['streams']:,} streams on one worker")
    axes.set_ylabel("% of streams (dashed: 99)")
    axes.legend(frameon=False, loc="lower right")


def _through_last(rows: Iterable[Row]) -> list[Row]:
    """The pass-through in grey, which is the last of the colours."""
    return sorted(rows, key=lambda row: row["case"] == PASS_THROUGH)
