"""Virtual keys: what they look like, who holds one, and whether they may ask now.

A key is shown once, when it is made; only its digest is kept. Who is let in at all is decided by
whoever serves the application, and said in the connection's scope.
"""

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import HTTPConnection

from responses_mw.errors import (
    Forbidden,
    QuotaExhausted,
    RateLimited,
    ResponsesError,
    Unauthorized,
)
from responses_mw.records import Caller
from stores.accounts import Refusal, StoredKey
from stores.base import SessionStore

PREFIX = "sk-rmw-"
_SCOPE = "responses_mw.bearer"
_MOST_KNOWN = 10_000

KNOWN_S = 5.0
"""For how long a key that was looked up is taken to be as it was: a revoked or blocked one may read
for so long. Nothing is generated for it: that is asked of the store each time."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who was let in; `key` None is the master: whoever runs the server. `again` looks the key up
    once more."""

    key: StoredKey | None = None
    again: Callable[[], Awaitable[StoredKey | None]] | None = None


def new_secret() -> str:
    """256 random bits: no digest of it can be guessed, so a fast one will do."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def set_bearer(scope: Any, bearer: Bearer) -> None:
    scope[_SCOPE] = bearer


def bearer_of(connection: HTTPConnection) -> Bearer | None:
    """None where a host application decides who its users are."""
    bearer: Bearer | None = connection.scope.get(_SCOPE)
    return bearer


async def look_again(connection: HTTPConnection) -> None:
    """For a connection that lasts: its key may be another by now, or not hold any more. Raises
    Unauthorized and StoreUnavailable."""
    bearer = bearer_of(connection)
    if bearer is None or bearer.again is None:
        return
    key = await bearer.again()
    if key is None:
        raise _gone()
    if key is not bearer.key:
        set_bearer(connection.scope, replace(bearer, key=key))


def check_master(connection: HTTPConnection) -> None:
    """Raises Forbidden for anybody but the master."""
    bearer = bearer_of(connection)
    if bearer is None or bearer.key is not None:
        raise Forbidden("Only the server's master key may do this.", code="master_key_needed")


class KeyRing:
    """The keys of one store, each remembered for `KNOWN_S`."""

    def __init__(self, store: SessionStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[bytes, tuple[float, StoredKey]] = {}

    async def find(self, secret: str) -> StoredKey | None:
        """None for a key that is not there, or does not hold any more. Raises Unauthorized for one
        that is blocked, and StoreError."""
        digest, now = digest_of(secret), self._clock()
        until, key = self._known.get(digest, (0.0, None))
        if key is None or until <= now or not _holds(key, datetime.now(UTC)):
            # Keys that let nobody in are not remembered: what is changed in them holds at once.
            self._known.pop(digest, None)
            key = await self._store.key(digest)
            if key is None or not _holds(key, datetime.now(UTC)):
                return None
            if key.blocked:
                raise _blocked()
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[digest] = now + KNOWN_S, key
        return key


def _holds(key: StoredKey, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def may_ask_for(models: tuple[str, ...] | None, model: str) -> bool:
    """`models` None are all; one that ends in `*` stands for every name that begins so."""
    return models is None or any(
        model.startswith(name[:-1]) if name.endswith("*") else model == name for name in models
    )


def check_model(caller: Caller, model: str) -> None:
    """Raises Forbidden, naming what the key may ask for."""
    if not may_ask_for(caller.models, model):
        known = ", ".join(caller.models or ())
        raise Forbidden(
            f"This key may not ask for the model {model[:100]!r}, only for: {known}.",
            param="model",
            code="model_not_allowed",
        )


async def admit(store: SessionStore, caller: Caller) -> None:
    """Counts one request of the caller's key, if it has one. Raises what keeps it out."""
    if caller.key is None:
        return
    now = datetime.now(UTC)
    refusal = await store.admit(caller.key, now=now)
    if refusal is not None:
        raise _error(refusal, now)


def _error(refusal: Refusal, now: datetime) -> ResponsesError:
    wait = None if refusal.until is None else (refusal.until - now).total_seconds()
    match refusal.reason:
        case "gone":
            return _gone()
        case "blocked":
            return _blocked()
        case "budget":
            renewed = "" if refusal.until is None else f" It is renewed at {refusal.until:%F %T}Z."
            return QuotaExhausted(f"The budget of this API key is spent.{renewed}")
        case "rpm":
            return RateLimited("This API key has asked too often in this minute.", wait_s=wait)
        case "tpm":
            return RateLimited("This API key has used too many tokens this minute.", wait_s=wait)


def _gone() -> Unauthorized:
    return Unauthorized("This API key was revoked, or has expired.")


def _blocked() -> Unauthorized:
    return Unauthorized(
        "This API key is blocked. Ask whoever runs this server to unblock it.",
        code="key_blocked",
        headers={"www-authenticate": "Bearer"},
    )
