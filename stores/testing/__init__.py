"""The conformance suite: what every session store must do, as a pytest class to subclass.

    class TestMyStore(SessionStoreConformance):
        @pytest.fixture
        async def store(self, tmp_path):
            async with MyStore(tmp_path / "sessions") as store:
                yield store

Each test gets a store of its own, empty and open. Hooks (see `hooks.py`) let the suite look
further; what it cannot see without one is skipped by name. Needs pytest, and anyio's plugin.
"""

import pytest

# Before they are imported: a failing `assert` in a library says what it compared only then.
pytest.register_assert_rewrite(
    *(
        f"stores.testing.{name}"
        for name in (
            *("turns", "chains", "deleting", "purging", "leases", "running", "owners", "values"),
            *("conversations", "conversation_rows", "conversation_erasing", "conversation_model"),
            *("life", "accounts", "usage", "keys", "key_changes", "retention", "handing_over"),
        )
    )
)

from stores.testing.accounts import AccountTests  # noqa: E402 -- after the rewrite is registered
from stores.testing.chains import ChainTests  # noqa: E402
from stores.testing.conversation_erasing import ConversationErasingTests  # noqa: E402
from stores.testing.conversation_rows import ConversationRowTests  # noqa: E402
from stores.testing.conversations import ConversationTests  # noqa: E402
from stores.testing.deleting import DeletingTests  # noqa: E402
from stores.testing.handing_over import HandingOverTests  # noqa: E402
from stores.testing.hooks import Budget, StoreHooks  # noqa: E402
from stores.testing.key_changes import KeyChangeTests  # noqa: E402
from stores.testing.keys import KeyTests  # noqa: E402
from stores.testing.leases import LeaseTests  # noqa: E402
from stores.testing.life import LifeTests  # noqa: E402
from stores.testing.owners import OwnerTests  # noqa: E402
from stores.testing.purging import PurgingTests  # noqa: E402
from stores.testing.retention import RetentionTests  # noqa: E402
from stores.testing.running import RunningTests  # noqa: E402
from stores.testing.usage import UsageTests  # noqa: E402
from stores.testing.values import ValueTests  # noqa: E402

__all__ = ["Budget", "SessionStoreConformance", "StoreHooks"]


class SessionStoreConformance(
    ChainTests,
    DeletingTests,
    PurgingTests,
    LeaseTests,
    RunningTests,
    ConversationTests,
    ConversationRowTests,
    ConversationErasingTests,
    OwnerTests,
    ValueTests,
    LifeTests,
    AccountTests,
    UsageTests,
    KeyTests,
    KeyChangeTests,
    RetentionTests,
    HandingOverTests,
):
    """Subclass it with an async fixture `store`."""
