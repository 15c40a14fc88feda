"""The schema, as SQLModel tables of their own registry: a host's metadata never meets ours.

A response is a handle onto (branch, depth); a turn is one JSON blob each of input and output at
that place; a branch knows where it forked from its parent. Roots are branches too. Times are
microseconds since the epoch. The stores' hot path does not import this: it is for queries that may
take their time, and a test holds it equal to what the migrations build.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    text,
)
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from stores.migrate import VERSION_TABLE

__all__ = [
    "VERSION_TABLE",
    "BranchRow",
    "ConversationRow",
    "KeyRow",
    "MetaRow",
    "ResponseRow",
    "Table",
    "TurnRow",
    "UsageRow",
]


class Table(SQLModel, registry=registry(metadata=MetaData())):
    """Base of every table here."""


def _where(column: str) -> dict[str, Any]:
    """Options of an index over only the rows that have this column."""
    present = text(f"{column} IS NOT NULL")
    return {"sqlite_where": present, "postgresql_where": present}


class BranchRow(Table, table=True):
    """A line of turns. Depths at or below `fork` are read from `parent`. `id` is 63 bits, part of
    them random: who draws one that is taken finds out and draws again."""

    __tablename__ = "rmw_branch"
    __table_args__ = (Index("ix_rmw_branch_parent", "parent", "fork", **_where("parent")),)

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    parent: int | None = Field(default=None, sa_column=Column(BigInteger))
    fork: int | None = Field(default=None, sa_column=Column(Integer))


class TurnRow(Table, table=True):
    """`input` and `output` are JSON arrays; `output` is NULL until something was kept. `cuts` say
    how it was cut into events.

    `end_user` is here and not on the handle: a person's turns outlive their deleted ids, and
    purging must still find them.
    """

    __tablename__ = "rmw_turn"
    __table_args__ = (
        Index("ix_rmw_turn_user", "end_user", **_where("end_user")),
        {"sqlite_with_rowid": False},
    )

    branch: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    depth: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    input: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    output: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    scope: str | None = Field(default=None, sa_column=Column(Text))
    native: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    end_user: str | None = Field(default=None, sa_column=Column(Text))
    cuts: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class ResponseRow(Table, table=True):
    """The handle. `body` is the response object without `output`.

    `worker`, `lease_until` and `request` (background work only) are NULL unless it runs. Where
    `conversation` is the row's own id, it is no response: it points to the conversation's last
    turn. `tags` is a JSON array. `cost_nano` is in nano-dollars, NULL where a price is unknown.
    """

    __tablename__ = "rmw_response"
    __table_args__ = (
        Index("ix_rmw_response_place", "branch", "depth"),
        Index("ix_rmw_response_owner", "owner", "created_at"),
        Index("ix_rmw_response_worker", "worker", **_where("worker")),
    )

    id: str = Field(sa_column=Column(Text, primary_key=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    branch: int = Field(sa_column=Column(BigInteger, nullable=False))
    depth: int = Field(sa_column=Column(Integer, nullable=False))
    status: str = Field(sa_column=Column(Text, nullable=False))
    worker: str | None = Field(default=None, sa_column=Column(Text))
    lease_until: int | None = Field(default=None, sa_column=Column(BigInteger))
    attempt: int = Field(default=1, sa_column=Column(Integer, nullable=False))
    cancel_requested: int = Field(default=0, sa_column=Column(Integer, nullable=False))
    created_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    request: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    conversation: str | None = Field(default=None, sa_column=Column(Text))
    chain: str | None = Field(default=None, sa_column=Column(Text))
    api_key: str | None = Field(default=None, sa_column=Column(Text))
    tags: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    deployment: str | None = Field(default=None, sa_column=Column(Text))
    cost_nano: int | None = Field(default=None, sa_column=Column(BigInteger))


class ConversationRow(Table, table=True):
    """`hidden` is a JSON array of item ids. `running` names the response that took the lock last,
    which holds it for as long as it runs.
    """

    __tablename__ = "rmw_conversation"
    __table_args__ = (Index("ix_rmw_conversation_owner", "owner", "created_at"),)

    id: str = Field(sa_column=Column(Text, primary_key=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    created_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hidden: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    running: str | None = Field(default=None, sa_column=Column(Text))


class MetaRow(Table, table=True):
    """Secrets made once (`secret:NAME`) and the purge epoch (`epoch`), as bytes."""

    __tablename__ = "rmw_meta"

    key: str = Field(sa_column=Column(Text, primary_key=True))
    value: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class UsageRow(Table, table=True):
    """What one response used, without content; it outlives the response.

    `chain` is the first id of its chain, or its conversation; `tags` a JSON array. Cost is in
    nano-dollars and counts only where `cost_known`: an unknown price is not a zero.
    """

    __tablename__ = "rmw_usage"
    __table_args__ = (
        Index("ix_rmw_usage_owner", "owner", "created_at"),
        Index("ix_rmw_usage_time", "created_at"),
        Index("ix_rmw_usage_user", "end_user", **_where("end_user")),
    )

    response: str = Field(sa_column=Column(Text, primary_key=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    created_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    status: str = Field(sa_column=Column(Text, nullable=False))
    end_user: str | None = Field(default=None, sa_column=Column(Text))
    api_key: str | None = Field(default=None, sa_column=Column(Text))
    model: str = Field(sa_column=Column(Text, nullable=False))
    deployment: str | None = Field(default=None, sa_column=Column(Text))
    chain: str | None = Field(default=None, sa_column=Column(Text))
    input_tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    cached_tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    cache_write_tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    output_tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    reasoning_tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    cost_nano: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    cost_known: bool = Field(default=False, sa_column=Column(Boolean, nullable=False))
    tags: str | None = Field(default=None, sa_column=Column(Text))
    estimated: bool | None = Field(default=None, sa_column=Column(Boolean))


class KeyRow(Table, table=True):
    """A virtual key, known by its SHA-256. Requests and tokens are counted in `minute`, which is in
    minutes since the epoch. `models` is a JSON array, NULL: all of them. `blocked` is NULL where
    nobody ever said."""

    __tablename__ = "rmw_key"
    __table_args__ = (Index("ix_rmw_key_digest", "digest", unique=True),)

    id: str = Field(sa_column=Column(Text, primary_key=True))
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    created_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    name: str | None = Field(default=None, sa_column=Column(Text))
    models: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    max_budget_nano: int | None = Field(default=None, sa_column=Column(BigInteger))
    budget_s: int | None = Field(default=None, sa_column=Column(BigInteger))
    budget_ends: int | None = Field(default=None, sa_column=Column(BigInteger))
    spent_nano: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    rpm: int | None = Field(default=None, sa_column=Column(BigInteger))
    tpm: int | None = Field(default=None, sa_column=Column(BigInteger))
    minute: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    minute_requests: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    minute_tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    expires_at: int | None = Field(default=None, sa_column=Column(BigInteger))
    revoked_at: int | None = Field(default=None, sa_column=Column(BigInteger))
    blocked: bool | None = Field(default=None, sa_column=Column(Boolean))
