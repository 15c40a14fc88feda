"""Deletes responses that are older than they may become, a few at a time.

As if a client had deleted them: a younger response keeps what it was built on, and usage stays.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from responses_mw.settings import Settings
from stores.base import SessionStore

BATCH = 100
PAUSE_S = 0.1
"""Between batches: a first sweep may have much to do, and nobody waits for it."""


def wanted(settings: Settings) -> bool:
    return settings.ttl_s is not None or any(
        ttl_s is not None for ttl_s in settings.owner_ttl_s.values()
    )


async def sweep(store: SessionStore, settings: Settings, *, now: datetime | None = None) -> int:
    """How many responses went. Any number of workers may sweep at once. Raises StoreError."""
    now = now or datetime.now(UTC)
    own = settings.owner_ttl_s
    swept = 0
    for owner, ttl_s in own.items():
        if ttl_s is not None:
            swept += await _sweep(store, now - timedelta(seconds=ttl_s), owner=owner)
    if settings.ttl_s is not None:
        swept += await _sweep(store, now - timedelta(seconds=settings.ttl_s), other_than=[*own])
    return swept


async def _sweep(
    store: SessionStore,
    before: datetime,
    *,
    owner: str | None = None,
    other_than: list[str] | None = None,
) -> int:
    swept = 0
    while True:
        found = await store.expired(
            before=before, owner=owner, other_than=other_than or (), limit=BATCH
        )
        gone = await asyncio.gather(*(store.delete(id, owner=whose) for id, whose in found))
        swept += sum(gone)
        if len(found) < BATCH or not any(gone):
            return swept
        await asyncio.sleep(PAUSE_S)
