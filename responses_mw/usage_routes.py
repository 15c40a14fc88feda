"""The route `/usage`: what was used and what it cost, summed as the question says.

Who asks sees their own; the master key of a server sees everybody's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Protocol, cast

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from responses_mw.cost import NANO
from responses_mw.errors import InvalidRequest
from responses_mw.http import json_response
from responses_mw.keys import bearer_of
from responses_mw.preparation import kept
from responses_mw.runtime import Runtime
from stores.accounts import GROUPS, Group, UsageQuery, UsageTotal

MOST_ROWS = 10_000
_SPAN = ("start", "end", "limit", "group_by")


class Application(Protocol):
    async def open(self) -> Runtime: ...


class UsageRoutes:
    """`owner` raises Unauthorized for a stranger."""

    def __init__(
        self, app: Application, *, owner: Callable[[HTTPConnection], Awaitable[str]]
    ) -> None:
        self._app = app
        self._owner = owner

    def routes(self) -> list[BaseRoute]:
        return [Route("/usage", self.usage, methods=["GET"])]

    async def usage(self, request: Request) -> Response:
        owner: str | None = await self._owner(request)
        bearer = bearer_of(request)
        if bearer is not None and bearer.key is None:
            owner = None
        query = query_of(request.query_params, owner=owner)
        runtime = await kept(self._app.open())
        await kept(runtime.ledger.flush())
        return json_response(answer(await kept(runtime.store.usage(_one_more(query))), query))


def query_of(asked: QueryParams, *, owner: str | None) -> UsageQuery:
    """`owner` None may see everybody's. Raises InvalidRequest for what is not understood."""
    for name in asked:
        if name not in (*_SPAN, *GROUPS):
            raise _invalid(name, f"is unknown; known are {', '.join((*_SPAN, *GROUPS))}")
    where: dict[Group, str | None] = {
        name: value for name, value in asked.items() if name in GROUPS
    }
    if "day" in where:
        where["day"] = _day(str(where["day"]))
    if owner is not None:
        if where.get("owner", owner) != owner:
            raise _invalid("owner", "can only be your own")
        where["owner"] = owner
    return UsageQuery(
        group_by=groups(asked.get("group_by", "")),
        start=moment("start", asked.get("start")),
        end=moment("end", asked.get("end")),
        where=where,
        limit=_limit(asked.get("limit", "1000")),
    )


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise _invalid("day", f"must be a date such as 2026-05-17, not {text[:50]!r}") from None


def groups(text: str) -> list[Group]:
    named = [name.strip() for name in text.split(",") if name.strip()]
    for name in named:
        if name not in GROUPS or named.count(name) > 1:
            raise _invalid("group_by", f"takes {', '.join(GROUPS)}, each once, not {name[:50]!r}")
    return cast(list[Group], named)


def moment(name: str, text: str | None) -> datetime | None:
    """A date, a date and time, or seconds since the epoch; without a zone they are UTC."""
    if text is None:
        return None
    try:
        if text.isascii() and text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise _invalid(name, f"must be a date such as 2026-05-17, not {text[:50]!r}") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def answer(totals: list[UsageTotal], query: UsageQuery) -> dict[str, Any]:
    data = [shown(total) for total in totals[: query.limit]]
    return {"object": "list", "data": data, "has_more": len(totals) > query.limit}


def shown(total: UsageTotal) -> dict[str, Any]:
    """`cost` is in dollars, of the responses whose price is known; null if none's is."""
    known = total.unpriced < total.requests
    return {
        **total.group,
        "requests": total.requests,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "cached_tokens": total.cached_tokens,
        "cache_write_tokens": total.cache_write_tokens,
        "reasoning_tokens": total.reasoning_tokens,
        "cost": total.cost_nano / NANO if known else None,
        "unpriced_requests": total.unpriced,
    }


def _one_more(query: UsageQuery) -> UsageQuery:
    return replace(query, limit=query.limit + 1)


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_ROWS:
        return int(text)
    raise _invalid("limit", f"must be a whole number from 1 to {MOST_ROWS}, not {text[:20]!r}")


def _invalid(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{name[:50]} {what}.", param=name[:50], code="invalid_value")
