"""Session state for the Responses API: one interface, and the stores that keep it."""

from typing import TYPE_CHECKING, Any

from stores.accounts import (
    ExportedTurn,
    KeyChanges,
    Refusal,
    StoredKey,
    Usage,
    UsageQuery,
    UsageTotal,
)
from stores.base import (
    Checkpoint,
    ConversationLocked,
    History,
    Lease,
    NativeState,
    NewResponse,
    Outcome,
    Page,
    SessionStore,
    Standing,
    StoreBusy,
    StoredConversation,
    StoredResponse,
    StoredTurn,
    StoreError,
)
from stores.memory import MemoryStore
from stores.sqlite import SQLiteStore
from stores.urls import open_store

if TYPE_CHECKING:
    from stores.postgres import PostgresStore

__all__ = [
    "Checkpoint",
    "ConversationLocked",
    "ExportedTurn",
    "History",
    "KeyChanges",
    "Lease",
    "MemoryStore",
    "NativeState",
    "NewResponse",
    "Outcome",
    "Page",
    "PostgresStore",
    "Refusal",
    "SQLiteStore",
    "SessionStore",
    "Standing",
    "StoreBusy",
    "StoreError",
    "StoredConversation",
    "StoredKey",
    "StoredResponse",
    "StoredTurn",
    "Usage",
    "UsageQuery",
    "UsageTotal",
    "open_store",
]


def __getattr__(name: str) -> Any:
    """PostgresStore is imported when it is asked for: its driver is an extra."""
    if name != "PostgresStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from stores.postgres import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise ImportError(
            "PostgresStore needs asyncpg: pip install 'responses-mw[postgres]'", name="asyncpg"
        ) from error
    return PostgresStore
