"""A new virtual key, from what an operator says of it: in a request, or on the command line."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from responses_mw.cost import NANO
from responses_mw.errors import InvalidRequest
from responses_mw.ids import new_id
from responses_mw.keys import new_secret
from stores.accounts import StoredKey

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 2_592_000}
MOST_BUDGET = 1_000_000_000
MOST_DURATION_S = 36_500 * 86_400


def new_key(
    *,
    owner: str,
    name: str | None = None,
    models: Sequence[str] | None = None,
    max_budget: float | None = None,
    budget_duration: str | None = None,
    rpm: int | None = None,
    tpm: int | None = None,
    expires: str | None = None,
) -> tuple[str, StoredKey]:
    """The key to show, and what is kept of it. `max_budget` is in dollars, `budget_duration` and
    `expires` are durations (`30d`); the latter may be a date. Raises InvalidRequest."""
    now = datetime.now(UTC)
    if not owner:
        raise _invalid("owner", "is missing: whose responses shall the key see?")
    for field, text in (("owner", owner), ("name", name or "")):
        if "\x00" in text:
            raise _invalid(field, "holds a NUL, which no database keeps")
    if budget_duration is not None and max_budget is None:
        raise _invalid("budget_duration", "needs max_budget")
    for limit, value in (("rpm", rpm), ("tpm", tpm)):
        if value is not None and not 1 <= value < 2**53:
            raise _invalid(limit, "must be a whole number from 1 on")
    budget_s = None if budget_duration is None else duration("budget_duration", budget_duration)
    stored = StoredKey(
        id=new_id("key"),
        owner=owner,
        created_at=now,
        name=name,
        models=tuple(models) if models else None,
        max_budget_nano=None if max_budget is None else _nano(max_budget),
        budget_s=budget_s,
        budget_ends=None if budget_s is None else now + timedelta(seconds=budget_s),
        rpm=rpm,
        tpm=tpm,
        expires_at=None if expires is None else _expiry(expires, now),
    )
    return new_secret(), stored


def duration(name: str, text: str) -> int:
    """Seconds."""
    found = re.fullmatch(r"([0-9]{1,9})(s|mo|m|h|d|w)", text, re.ASCII)
    seconds = int(found[1]) * _SECONDS[found[2]] if found is not None else 0
    if not 0 < seconds <= MOST_DURATION_S:
        raise _invalid(name, f"must be like 30s, 15m, 24h, 7d, 4w or 1mo, not {text[:20]!r}")
    return seconds


def shown(key: StoredKey) -> dict[str, Any]:
    """For people and their programs: money in dollars, times in ISO."""

    def money(nano: int | None) -> float | None:
        return None if nano is None else nano / NANO

    def time(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat(timespec="seconds")

    return {
        "object": "key",
        "id": key.id,
        "owner": key.owner,
        "name": key.name,
        "models": None if key.models is None else list(key.models),
        "max_budget": money(key.max_budget_nano),
        "spent": money(key.spent_nano),
        "budget_duration_s": key.budget_s,
        "budget_ends": time(key.budget_ends),
        "rpm": key.rpm,
        "tpm": key.tpm,
        "created_at": time(key.created_at),
        "expires_at": time(key.expires_at),
        "revoked_at": time(key.revoked_at),
    }


def _nano(dollars: float) -> int:
    if not 0 < dollars <= MOST_BUDGET:
        raise _invalid("max_budget", f"must be more than 0 dollars and at most {MOST_BUDGET}")
    return int((Decimal(str(dollars)) * NANO).to_integral_value())


def _expiry(text: str, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return now + timedelta(seconds=duration("expires", text))
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if moment <= now:
        raise _invalid("expires", f"is over already: {text[:40]!r}")
    if moment - now > timedelta(seconds=MOST_DURATION_S):
        raise _invalid("expires", f"is more than a hundred years away: {text[:40]!r}")
    return moment


def _invalid(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {what}.", param=name, code="invalid_value")
