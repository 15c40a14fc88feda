"""Where a stored response is kept while it is generated, and what is kept of it at its end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from responses_mw.assembler import ResponseAssembler
from responses_mw.envelope import shrunk
from responses_mw.native_refs import pack
from responses_mw.settings import Settings
from stores.base import Lease, NativeState, NewResponse, Outcome, SessionStore


@dataclass(frozen=True, slots=True)
class Record:
    """Where a stored response is kept, and under whose claim. `new` is None once it is reserved."""

    store: SessionStore
    owner: str
    id: str
    lease: Lease
    new: NewResponse | None = None
    on_end: Callable[[Outcome], None] | None = None


def outcome_of(assembler: ResponseAssembler) -> Outcome:
    """What the store keeps of a response that has ended."""
    output, native = assembler.output, assembler.native
    state = None if native is None else NativeState(native.scope, pack(native.state, output))
    return Outcome(assembler.status, shrunk(assembler.envelope), output, state, assembler.cuts)


async def is_kept(record: Record, outcome: Outcome) -> bool:
    """Whether the response has ended so already: a store that was cut off, or too slow to answer,
    may have kept the end of which nobody heard."""
    found = await record.store.get(record.id, owner=record.owner)
    ended = None if found is None else (found.status, found.body, found.output)
    return ended == (outcome.status, outcome.body, outcome.output)


def lease_until(settings: Settings) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=settings.lease_s)
