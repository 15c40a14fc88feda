"""What a store raises, and nothing else."""


class StoreError(Exception):
    """The database could not be reached, or refused. Nothing was half-written."""


class StoreBusy(StoreError):
    """The database is locked or overloaded for longer than the store waits; try again."""


class ConversationLocked(StoreError):
    """Another turn of this conversation is running."""
