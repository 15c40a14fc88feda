"""A new virtual key, from what an operator says of it: in a request, or on the command line.

What is said of a key's limits is read here, for one that is changed, too.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from responses_mw.cost import NANO
from responses_mw.errors import InvalidRequest
from responses_mw.ids import new_id
from responses_mw.keys import new_secret
from stores.accounts import KeyChanges, StoredKey

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
    _text("owner", owner)
    limits = {
        "name": name,
        "models": models,
        "max_budget": max_budget,
        "budget_duration": budget_duration,
        "rpm": rpm,
        "tpm": tpm,
        "expires": expires,
    }
    stored = StoredKey(id=new_id("key"), owner=owner, created_at=now, **read(limits, now))
    check_budget(stored)
    if stored.budget_s is not None:
        stored = replace(stored, budget_ends=now + timedelta(seconds=stored.budget_s))
    return new_secret(), stored


def read(said: Mapping[str, Any], now: datetime) -> KeyChanges:
    """By the names and in the units of `new_key`; None is no limit. Raises InvalidRequest."""
    found = {}
    for name, value in said.items():
        field, reading = _READINGS[name]
        found[field] = None if value is None else reading(name, value, now)
    return cast(KeyChanges, found)


def check_budget(key: StoredKey) -> None:
    """Raises InvalidRequest for a time without anything to spend in it."""
    if key.budget_s is not None and key.max_budget_nano is None:
        raise _invalid("budget_duration", "needs max_budget")


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
        "blocked": key.blocked,
    }


def _text(name: str, text: str, _now: datetime | None = None) -> str:
    if "\x00" in text:
        raise _invalid(name, "holds a NUL, which no database keeps")
    return text


def _models(_name: str, models: Sequence[str], _now: datetime) -> tuple[str, ...] | None:
    return tuple(models) or None


def _limit(name: str, value: int, _now: datetime) -> int:
    if not 1 <= value < 2**53:
        raise _invalid(name, "must be a whole number from 1 on")
    return value


def _nano(name: str, dollars: float, _now: datetime) -> int:
    if not 0 < dollars <= MOST_BUDGET:
        raise _invalid(name, f"must be more than 0 dollars and at most {MOST_BUDGET}")
    return int((Decimal(str(dollars)) * NANO).to_integral_value())


def _duration(name: str, text: str, _now: datetime) -> int:
    return duration(name, text)


def _expiry(name: str, text: str, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return now + timedelta(seconds=duration(name, text))
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if moment <= now:
        raise _invalid(name, f"is over already: {text[:40]!r}")
    if moment - now > timedelta(seconds=MOST_DURATION_S):
        raise _invalid(name, f"is more than a hundred years away: {text[:40]!r}")
    return moment


def _invalid(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {what}.", param=name, code="invalid_value")


_READINGS: Mapping[str, tuple[str, Callable[[str, Any, datetime], Any]]] = {
    "name": ("name", _text),
    "models": ("models", _models),
    "max_budget": ("max_budget_nano", _nano),
    "budget_duration": ("budget_s", _duration),
    "rpm": ("rpm", _limit),
    "tpm": ("tpm", _limit),
    "expires": ("expires_at", _expiry),
}
"""To which field of a key it goes, and how it is read."""
