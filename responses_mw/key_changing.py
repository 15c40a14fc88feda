"""A virtual key found, changed, blocked and unblocked: by a request, or on the command line."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from responses_mw.errors import InvalidRequest, NotFound
from responses_mw.key_making import check_budget, read
from responses_mw.keys import PREFIX, digest_of
from stores.accounts import KeyChanges, StoredKey
from stores.base import SessionStore


async def found(store: SessionStore, named: str) -> StoredKey | None:
    """By the key itself, or by its id."""
    if named.startswith(PREFIX):
        return await store.key(digest_of(named))
    return await store.key_by_id(named)


async def change(store: SessionStore, named: str, said: Mapping[str, Any]) -> StoredKey:
    """`said` is as for `new_key`; None takes a limit away, and a budget takes its duration with
    it. Raises InvalidRequest, NotFound and StoreError."""
    if not said:
        raise InvalidRequest(
            "Nothing is named that could be changed: models, max_budget, budget_duration, rpm, tpm,"
            " expires or name.",
            code="missing_required_parameter",
        )
    now = datetime.now(UTC)
    changes = read(said, now)
    key = await _in_force(store, named)
    if "max_budget_nano" in changes and changes["max_budget_nano"] is None:
        changes = {"budget_s": None, **changes}
    check_budget(replace(key, **changes))
    return await _changed(store, key, changes, now)


async def block(store: SessionStore, named: str, *, blocked: bool) -> StoredKey:
    """Raises InvalidRequest, NotFound and StoreError."""
    key = await _in_force(store, named)
    return await _changed(store, key, {"blocked": blocked}, datetime.now(UTC))


async def _in_force(store: SessionStore, named: str) -> StoredKey:
    if not store.changes_keys:
        raise InvalidRequest(
            "This server's store cannot change keys. Make a new key, and revoke the old one.",
            code="unsupported_parameter",
        )
    key = await found(store, named)
    if key is None:
        raise _not_found()
    return key


async def _changed(
    store: SessionStore, key: StoredKey, changes: KeyChanges, now: datetime
) -> StoredKey:
    changed = await store.change_key(key.id, changes, at=now)
    if changed is None:
        raise _not_found()
    return changed


def _not_found() -> NotFound:
    return NotFound("There is no such key, or it was revoked.", param="key")
