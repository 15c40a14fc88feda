"""What a store owes to those who answer for the bill: usage, keys with budgets, what is too old.

Money is in nano-dollars, always an integer; None is an unknown price. A store that keeps no
accounts inherits from here what says so.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NoReturn, TypedDict

Group = Literal[
    "owner", "key", "user", "model", "deployment", "chain", "tag", "day", "status", "response"
]
GROUPS: tuple[Group, ...] = (
    "owner",
    "key",
    "user",
    "model",
    "deployment",
    "chain",
    "tag",
    "day",
    "status",
    "response",
)
"""What usage can be summed by. `day` is of UTC; who has several tags is counted under each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one response used. Counting it again adds to what is there: it was begun again.

    `estimated`: the upstream did not say. `ended_at` is when its key is charged.
    """

    response: str
    owner: str
    created_at: datetime
    ended_at: datetime
    status: str
    model: str
    end_user: str | None = None
    api_key: str | None = None
    deployment: str | None = None
    chain: str | None = None
    tags: tuple[str, ...] = ()
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int | None = None
    charged_nano: int | None = None
    """What its key is charged; None: the cost, or nothing where that is unknown."""
    estimated: bool = False

    @property
    def charge_nano(self) -> int:
        return (self.cost_nano or 0) if self.charged_nano is None else self.charged_nano


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """`start` is in, `end` is out. `where` are values of groups; None there is "without one"."""

    group_by: Sequence[Group] = ()
    start: datetime | None = None
    end: datetime | None = None
    where: Mapping[Group, str | None] = field(default_factory=dict)
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """`group` has the values of `group_by`, in its order. `cost_nano` is the sum of the known ones,
    `unpriced` how many of `requests` have no known cost."""

    group: dict[str, str | None]
    requests: int
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nano: int
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A virtual key, without itself. `models` None are all. `budget_s` None: the budget is for
    ever; else what was spent is forgotten at `budget_ends`. `rpm` and `tpm` count clock minutes."""

    id: str
    owner: str
    created_at: datetime
    name: str | None = None
    models: tuple[str, ...] | None = None
    max_budget_nano: int | None = None
    budget_s: int | None = None
    budget_ends: datetime | None = None
    spent_nano: int = 0
    rpm: int | None = None
    tpm: int | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    blocked: bool = False


class KeyChanges(TypedDict, total=False):
    """What becomes another in a key: fields of StoredKey. What is not in it stays."""

    name: str | None
    models: tuple[str, ...] | None
    max_budget_nano: int | None
    budget_s: int | None
    rpm: int | None
    tpm: int | None
    expires_at: datetime | None
    blocked: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a key may not ask now, and from when it may again; None: not by waiting."""

    reason: Literal["gone", "blocked", "budget", "rpm", "tpm"]
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExportedTurn:
    """`cursor` is where to go on behind it. `id` and `body` are None where the response was deleted
    and its turn is kept for those built on it, or was posted to a conversation."""

    cursor: str
    owner: str
    id: str | None
    status: str | None
    created_at: datetime | None
    end_user: str | None
    body: dict[str, Any] | None
    input: list[dict[str, Any]]
    output: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ExportedConversation:
    """`hidden` are the ids of items that were deleted from it. `last_turn` is the cursor of the
    turn it ends with."""

    cursor: str
    owner: str
    id: str
    created_at: datetime
    body: dict[str, Any]
    hidden: tuple[str, ...]
    last_turn: str


@dataclass(frozen=True, slots=True)
class ExportedUsage:
    """As `Usage`; `cost_nano` None is an unknown price."""

    cursor: str
    owner: str
    response: str
    created_at: datetime
    status: str
    end_user: str | None
    api_key: str | None
    model: str
    deployment: str | None
    chain: str | None
    tags: tuple[str, ...]
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nano: int | None
    estimated: bool


class Accounts:
    keeps_accounts = False
    changes_keys = False
    """Not every store that keeps accounts does: `change_key` is younger than they are."""

    async def add_usage(self, rows: Sequence[Usage]) -> None:
        """Counts responses that are not stored, and charges their keys; all or none."""
        self._keeps_none()

    async def usage(self, query: UsageQuery) -> list[UsageTotal]:
        """One aggregate, the dearest first."""
        self._keeps_none()

    async def add_key(self, key: StoredKey, *, digest: bytes) -> None:
        """Raises StoreError if the id or the digest exists."""
        self._keeps_none()

    async def key(self, digest: bytes) -> StoredKey | None:
        """Expired and revoked ones, too."""
        self._keeps_none()

    async def key_by_id(self, id: str) -> StoredKey | None:
        """Likewise."""
        return next((key for key in await self.keys() if key.id == id), None)

    async def keys(self, *, owner: str | None = None) -> list[StoredKey]:
        """Oldest first."""
        self._keeps_none()

    async def revoke_key(self, id: str, *, at: datetime) -> bool:
        """False if there is none that still holds. It stays, for its usage to be told."""
        self._keeps_none()

    async def change_key(self, id: str, changes: KeyChanges, *, at: datetime) -> StoredKey | None:
        """The key as it is then; None if there is none, or it was revoked. What was spent stays,
        and where `budget_s` becomes another, the budget ends so long after `at`: what was spent
        before counts until then, unless its time was over."""
        from stores.base import StoreError

        raise StoreError(f"{type(self).__name__} cannot change keys: it has no change_key")

    async def admit(self, id: str, *, now: datetime) -> Refusal | None:
        """Counts a request of a key; None if it may go on. One statement, whoever else asks: of
        many at once no more come in than are left. What they spend is charged when they end."""
        self._keeps_none()

    async def expired(
        self,
        *,
        before: datetime,
        owner: str | None = None,
        other_than: Collection[str] = (),
        limit: int = 100,
    ) -> list[tuple[str, str]]:
        """(id, owner) of responses made before, of one owner or of all other than those given; none
        that runs."""
        self._keeps_none()

    async def export(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedTurn]:
        """Turns with content behind the cursor `after`, each once, in an order that stays."""
        self._keeps_none()

    async def export_conversations(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedConversation]:
        """Likewise; of an end user: those that a turn of theirs stands in."""
        self._keeps_none()

    async def export_usage(
        self,
        *,
        after: str | None = None,
        owner: str | None = None,
        user: str | None = None,
        limit: int = 100,
    ) -> list[ExportedUsage]:
        """Likewise; of deleted responses, too."""
        self._keeps_none()

    async def empty_summaries(
        self, owner: str, *, id: str | None = None, user: str | None = None
    ) -> int:
        """Empties the compactions in answers that go on from one response, or from an end user's
        turns. `purge` does so first, and leaves nothing to find them by. Returns in how many turns
        there were any."""
        self._keeps_none()

    async def owners(self, *, user: str | None = None, id: str | None = None) -> list[str]:
        """Whose an end user's turns and usage are, or a response is."""
        self._keeps_none()

    def _keeps_none(self) -> NoReturn:
        from stores.base import StoreError  # which is built on this file

        raise StoreError(f"{type(self).__name__} keeps no accounts: no usage, keys or retention")
