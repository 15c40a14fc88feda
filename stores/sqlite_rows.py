"""Rows of the SQLite store from what the application says, and back."""

from typing import Any

from stores.base import RUNNING, Json, Lease, StoredResponse
from stores.codec import decode, encode, from_micros, key


def leased(id: str, owner: str, lease: Lease) -> tuple[str | None, str | None, str | None, int]:
    return key(id), key(owner), key(lease.worker), lease.attempt


def encoded_cuts(cuts: Json) -> bytes | None:
    return None if cuts is None else encode(cuts, "cuts")


def stored(row: tuple[Any, ...]) -> StoredResponse:
    """From a row of RESPONSE."""
    id, owner, status, body, output, created, worker, until, attempt, cancel, *rest = row
    request, cuts, conversation, chain, api_key, tags, deployment, cost_nano, user = rest
    return StoredResponse(
        id=id,
        owner=owner,
        status=status,
        body=decode(body),
        output=[] if output is None else decode(output),
        created_at=from_micros(created),
        lease=Lease(worker, from_micros(until), attempt) if status in RUNNING else None,
        cancel_requested=bool(cancel),
        request=None if request is None else decode(request),
        cuts=None if cuts is None else decode(cuts),
        conversation=conversation,
        chain=chain,
        api_key=api_key,
        tags=() if tags is None else tuple(decode(tags)),
        deployment=deployment,
        cost_nano=cost_nano,
        end_user=user,
    )
