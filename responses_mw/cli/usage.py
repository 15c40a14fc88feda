"""`responses-mw usage`: what was used and what it cost, as a table or as JSON."""

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
import typer
from starlette.datastructures import QueryParams

from responses_mw.cli.admin import Config, Store, in_store
from responses_mw.usage_routes import MOST_ROWS, query_of, shown
from stores.accounts import GROUPS
from stores.base import SessionStore


def usage(
    *,
    group_by: Annotated[
        str, typer.Option(help=f"One or more, with commas between: {', '.join(GROUPS)}.")
    ] = "owner,model",
    start: Annotated[str | None, typer.Option(help="A date, or a date and time, in UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="The first moment that does not count.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="group=value, such as user=ann; may be given more than once."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="The dearest first.")] = 1000,
    json: Annotated[bool, typer.Option("--json", help="One JSON object in a line.")] = False,
    config: Config = None,
    store: Store = None,
) -> None:
    """Sum up what was used and what it cost."""
    asked = {"group_by": group_by, "limit": str(limit), "start": start, "end": end}
    given = [(name, value) for name, value in asked.items() if value is not None]
    given += [(name, value) for name, _, value in (each.partition("=") for each in only or [])]

    async def summed(found: SessionStore) -> list[dict[str, Any]]:
        query = query_of(QueryParams(given), owner=None)
        return [shown(total) for total in await found.usage(query)]

    rows = in_store(store, config, summed)
    if json:
        for row in rows:
            print(orjson.dumps(row).decode())
    else:
        print_table(rows, empty="nothing was used")


def print_table(rows: Sequence[dict[str, Any]], *, empty: str) -> None:
    if not rows:
        print(empty)
        return
    names = list(rows[0])
    lines = [names, *([_cell(name, row[name]) for name in names] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(names))]
    for line in lines:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "unknown" if name == "cost" else "-"
    if isinstance(value, float):
        return f"{value:.6f}"
    return ",".join(value) if isinstance(value, list) else str(value)
