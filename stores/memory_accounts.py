"""Usage, keys, retention and export in memory: the rules that the databases keep in statements."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta

from stores import summaries
from stores.account_statements import minute_of, place_of, refused
from stores.accounts import (
    ExportedConversation,
    ExportedTurn,
    ExportedUsage,
    Group,
    KeyChanges,
    Refusal,
    StoredKey,
    Usage,
    UsageQuery,
    UsageTotal,
)
from stores.base import RUNNING, SessionStore, StoreError
from stores.codec import decode, from_micros, text, to_micros
from stores.memory_branches import Branch, line
from stores.memory_rows import Conversation, Handle

_VALUES: dict[Group, Callable[[Usage], Sequence[str | None]]] = {
    "owner": lambda row: [row.owner],
    "key": lambda row: [row.api_key],
    "user": lambda row: [row.end_user],
    "model": lambda row: [row.model],
    "deployment": lambda row: [row.deployment],
    "chain": lambda row: [row.chain],
    "tag": lambda row: row.tags or (None,),
    "day": lambda row: [row.created_at.astimezone(UTC).date().isoformat()],
    "status": lambda row: [row.status],
    "response": lambda row: [row.response],
}


_EXPORTED = [field.name for field in fields(ExportedUsage)]


@dataclass(slots=True)
class _Key:
    key: StoredKey
    digest: bytes
    minute: int = 0
    requests: int = 0
    tokens: int = 0

    def enter(self, minute: int) -> None:
        if self.minute < minute:
            self.minute, self.requests, self.tokens = minute, 0, 0


class MemoryAccounts(SessionStore):
    """Responses and conversations are MemoryStore's."""

    keeps_accounts = True
    changes_keys = True
    _handles: dict[str, Handle]
    _conversations: dict[str, Conversation]
    _purges: int

    def __init__(self) -> None:
        self._used: dict[str, Usage] = {}
        self._keys: dict[str, _Key] = {}

    @abstractmethod
    def _branches(self, owner: str) -> set[Branch]: ...

    # --- usage

    async def add_usage(self, rows: Sequence[Usage]) -> None:
        for row in rows:
            text(row.end_user or "", "end_user")
        for row in rows:
            self._count(row)

    def _count(self, usage: Usage) -> None:
        before = self._used.get(usage.response)
        self._used[usage.response] = usage if before is None else _added(before, usage)
        charged = self._keys.get(usage.api_key or "")
        if charged is not None:
            spent = charged.key.spent_nano + usage.charge_nano
            charged.key = replace(charged.key, spent_nano=spent)
            charged.enter(minute_of(usage.ended_at))
            charged.tokens += usage.input_tokens + usage.output_tokens

    async def usage(self, query: UsageQuery) -> list[UsageTotal]:
        grouped: dict[tuple[str | None, ...], list[Usage]] = defaultdict(list)
        for row in self._used.values():
            if _asked_for(row, query):
                for group in _groups(row, query.group_by):
                    grouped[group].append(row)
        totals = [
            _total(dict(zip(query.group_by, group, strict=True)), rows)
            for group, rows in sorted(grouped.items(), key=lambda item: _comparable(item[0]))
        ]
        totals.sort(key=lambda total: (-total.cost_nano, -total.requests))
        return totals[: query.limit]

    def _forget(self, owner: str, *, id: str | None, user: str | None) -> None:
        for response, row in self._used.items():
            everything = id is None and user is None
            named = response == id or (user is not None and row.end_user == user)
            if row.owner == owner and (everything or named):
                self._used[response] = replace(row, end_user=None)

    # --- keys

    async def add_key(self, key: StoredKey, *, digest: bytes) -> None:
        text(key.owner, "the owner")
        if key.id in self._keys or await self.key(digest) is not None:
            raise StoreError(f"the key {key.id!r} exists; take a new one")
        self._keys[key.id] = _Key(key, digest)

    async def key(self, digest: bytes) -> StoredKey | None:
        return next((kept.key for kept in self._keys.values() if kept.digest == digest), None)

    async def key_by_id(self, id: str) -> StoredKey | None:
        kept = self._keys.get(id)
        return None if kept is None else kept.key

    async def keys(self, *, owner: str | None = None) -> list[StoredKey]:
        found = [kept.key for kept in self._keys.values() if owner in (None, kept.key.owner)]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, id: str, *, at: datetime) -> bool:
        kept = self._keys.get(id)
        if kept is None or kept.key.revoked_at is not None:
            return False
        kept.key = replace(kept.key, revoked_at=at)
        return True

    async def change_key(self, id: str, changes: KeyChanges, *, at: datetime) -> StoredKey | None:
        kept = self._keys.get(id)
        if kept is None or kept.key.revoked_at is not None:
            return None
        text(changes.get("name") or "", "the name")
        key, budget_s = kept.key, changes.get("budget_s", kept.key.budget_s)
        if budget_s != key.budget_s:
            over = key.budget_ends is not None and key.budget_ends <= at
            ends = None if budget_s is None else at + timedelta(seconds=budget_s)
            key = replace(key, budget_ends=ends, spent_nano=0 if over else key.spent_nano)
        kept.key = replace(key, **changes)
        return kept.key

    async def admit(self, id: str, *, now: datetime) -> Refusal | None:
        kept = self._keys.get(id)
        if kept is None:
            return Refusal("gone")
        kept.key = _budget_at(kept.key, now)
        kept.enter(minute_of(now))
        key = kept.key
        gone = key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now)
        spent = key.max_budget_nano is not None and key.spent_nano >= key.max_budget_nano
        often = key.rpm is not None and kept.requests >= key.rpm
        much = key.tpm is not None and kept.tokens >= key.tpm
        if gone or key.blocked or spent or often or much:
            counted = {"requests": kept.requests, "tokens": kept.tokens}
            return refused(key, now, minute=kept.minute, **counted)
        kept.requests += 1
        return None

    # --- retention and export

    async def expired(
        self,
        *,
        before: datetime,
        owner: str | None = None,
        other_than: Collection[str] = (),
        limit: int = 100,
    ) -> list[tuple[str, str]]:
        found = [
            (id, handle.branch.owner)
            for id, handle in self._handles.items()
            if handle.status not in RUNNING
            and handle.created_at < to_micros(before)
            and owner in (None, handle.branch.owner)
            and handle.branch.owner not in other_than
        ]
        return found[:limit]

    async def export(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedTurn]:
        start = place_of(after)
        owners = await self.owners() if owner is None else [owner]
        branches = [branch for name in owners for branch in self._branches(name)]
        found = [
            self._exported(branch, depth)
            for branch in sorted(branches, key=lambda branch: branch.number)
            for depth, turn in sorted(branch.turns.items())
            if (branch.number, depth) > start and not turn.blank and user in (None, turn.end_user)
        ]
        return found[:limit]

    async def export_conversations(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedConversation]:
        return [
            ExportedConversation(
                cursor=id,
                owner=found.branch.owner,
                id=id,
                created_at=from_micros(found.created_at),
                body=decode(found.body),
                hidden=tuple(sorted(found.hidden)),
                last_turn=f"{found.branch.number}:{found.depth}",
            )
            for id, found in sorted(self._conversations.items())
            if id > (after or "")
            and owner in (None, found.branch.owner)
            and (user is None or user in {t.end_user for t in line(found.branch, found.depth)})
        ][:limit]

    async def export_usage(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedUsage]:
        return [
            ExportedUsage(
                cursor=row.response,
                **{name: getattr(row, name) for name in _EXPORTED if name != "cursor"},
            )
            for _, row in sorted(self._used.items())
            if row.response > (after or "")
            and owner in (None, row.owner)
            and user in (None, row.end_user)
        ][:limit]

    async def empty_summaries(
        self, owner: str, *, id: str | None = None, user: str | None = None
    ) -> int:
        written = 0
        for branch in self._branches(owner):
            for depth, turn in branch.turns.items():
                empty = summaries.emptied(turn.output)
                if empty is not None and self._goes_on_from(branch, depth, id=id, user=user):
                    turn.output = empty
                    written += 1
        self._purges += written
        return written

    def _goes_on_from(
        self, branch: Branch, depth: int, *, id: str | None, user: str | None
    ) -> bool:
        handle = None if id is None else self._handles.get(id)
        _, *before = line(branch, depth)
        if id is not None:
            return handle is not None and any(turn is handle.turn for turn in before)
        return user is not None and any(turn.end_user == user for turn in before)

    def _exported(self, branch: Branch, depth: int) -> ExportedTurn:
        turn, id = branch.turns[depth], branch.handles.get(depth)
        handle = None if id is None else self._handles[id]
        said = turn.read()
        return ExportedTurn(
            cursor=f"{branch.number}:{depth}",
            owner=branch.owner,
            id=id,
            status=None if handle is None else handle.status,
            created_at=None if handle is None else from_micros(handle.created_at),
            end_user=turn.end_user,
            body=None if handle is None else decode(handle.body),
            input=said.input,
            output=said.output,
        )

    async def owners(self, *, user: str | None = None, id: str | None = None) -> list[str]:
        if id is not None:
            found = self._handles.get(id)
            return [] if found is None else [found.branch.owner]
        starts = [handle.branch.owner for handle in self._handles.values()]
        starts += [conversation.branch.owner for conversation in self._conversations.values()]
        used = {row.owner for row in self._used.values() if user in (None, row.end_user)}
        if user is None:
            return sorted({*starts, *used})
        turns = (
            (owner, turn)
            for owner in set(starts)
            for branch in self._branches(owner)
            for turn in branch.turns.values()
        )
        return sorted(used | {owner for owner, turn in turns if turn.end_user == user})


def _budget_at(key: StoredKey, now: datetime) -> StoredKey:
    if key.budget_s is None or key.budget_ends is None or key.budget_ends > now:
        return key
    return replace(key, spent_nano=0, budget_ends=now + timedelta(seconds=key.budget_s))


def _added(before: Usage, usage: Usage) -> Usage:
    known = before.cost_nano is not None and usage.cost_nano is not None
    return replace(
        before,
        status=usage.status,
        input_tokens=before.input_tokens + usage.input_tokens,
        cached_tokens=before.cached_tokens + usage.cached_tokens,
        cache_write_tokens=before.cache_write_tokens + usage.cache_write_tokens,
        output_tokens=before.output_tokens + usage.output_tokens,
        reasoning_tokens=before.reasoning_tokens + usage.reasoning_tokens,
        cost_nano=(before.cost_nano or 0) + (usage.cost_nano or 0) if known else None,
    )


def _asked_for(row: Usage, query: UsageQuery) -> bool:
    return (
        (query.start is None or row.created_at >= query.start)
        and (query.end is None or row.created_at < query.end)
        and all(value in _VALUES[group](row) for group, value in query.where.items())
    )


def _groups(row: Usage, names: Sequence[Group]) -> Iterable[tuple[str | None, ...]]:
    found: list[tuple[str | None, ...]] = [()]
    for name in names:
        found = [(*group, value) for group in found for value in _VALUES[name](row)]
    return found


def _comparable(group: tuple[str | None, ...]) -> list[tuple[bool, str]]:
    return [(value is not None, value or "") for value in group]


def _total(group: dict[str, str | None], rows: list[Usage]) -> UsageTotal:
    return UsageTotal(
        group,
        requests=len(rows),
        input_tokens=sum(row.input_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        cache_write_tokens=sum(row.cache_write_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        reasoning_tokens=sum(row.reasoning_tokens for row in rows),
        cost_nano=sum(row.cost_nano or 0 for row in rows),
        unpriced=sum(row.cost_nano is None for row in rows),
    )
