"""What a store's author may tell the suite, so that it can see more than the interface shows.

Every hook has a default that skips the tests which need it, by name.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from stores.base import SessionStore

ACCOUNTS = ("UsageTests", "KeyTests", "KeyChangeTests", "RetentionTests", "HandingOverTests")
"""The parts of the suite that are about them."""


@dataclass(slots=True)
class Budget:
    """What was sent to the database while it was watched.

    A statement outside a transaction counts as a transaction, too.
    """

    statements: int = 0
    transactions: int = 0


class StoreHooks:
    """Runs every test on asyncio, whatever the project around it configured."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    def beside(self, store: SessionStore) -> SessionStore:
        """A second store over the same data, not yet open: what another process would make."""
        if not store.shared_between_processes:
            pytest.skip(f"{type(store).__name__} is not shared between processes")
        pytest.skip(f"{type(self).__name__} has no hook beside()")

    async def kept(self, store: SessionStore) -> list[bytes]:
        """One value for each turn in the database, reachable or not, with all its content."""
        pytest.skip(f"{type(self).__name__} has no hook kept()")

    @pytest.fixture(autouse=True)
    def accounts(self, request: pytest.FixtureRequest, store: SessionStore) -> None:
        """A store may keep none: see `stores.accounts`."""
        about = request.function.__qualname__.partition(".")[0]
        if about in ACCOUNTS and not store.keeps_accounts:
            pytest.skip(f"{type(store).__name__} keeps no accounts")
        if about == "KeyChangeTests" and not store.changes_keys:
            pytest.skip(f"{type(store).__name__} changes no keys")

    def watch(self, store: SessionStore) -> AbstractContextManager[Budget]:
        """Counts what `store` sends to its database inside the `with` block."""
        pytest.skip(f"{type(self).__name__} has no hook watch()")
