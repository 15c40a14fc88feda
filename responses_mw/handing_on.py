"""Work that a stopped worker left and this one cannot do: it is left for a worker that can.

Not every worker serves every model, while a new configuration is rolled out for example. What
happens to work that can be done here, or must be ended, the service decides.
"""

import logging
import time
from datetime import UTC, datetime

from responses_mw.runtime import Runtime, TakeOver
from stores.base import StoredResponse

logger = logging.getLogger("responses_mw")

LEASES = 10
"""For so many leases (`lease_s`) work is handed back; after them it fails."""


class HandingOn:
    """Of one runtime. `take_over` is the service's."""

    def __init__(self, runtime: Runtime, take_over: TakeOver) -> None:
        self._runtime = runtime
        self._take_over = take_over
        self._patience_s = LEASES * runtime.settings.lease_s
        self._since: dict[str, float] = {}
        """When each was first handed back."""

    async def take_over(self, left: StoredResponse) -> None:
        if self._is_for_another(left) and await self._is_handed_back(left):
            return
        logger.warning("%s was left by a worker that stopped", left.id)
        await self._take_over(left)

    def _is_for_another(self, left: StoredResponse) -> bool:
        """Only what would be begun again: nobody can go on with what was said."""
        if left.request is None or left.output or left.cancel_requested:
            return False
        model = left.request.get("model")
        if model is None or self._runtime.router.serves(model):
            return False
        now = time.monotonic()
        return now - self._since.get(left.id, now) < self._patience_s

    async def _is_handed_back(self, left: StoredResponse) -> bool:
        assert left.lease is not None
        store, now = self._runtime.store, datetime.now(UTC)
        if not await store.hand_back(left.id, owner=left.owner, lease=left.lease, now=now):
            return False
        if left.id not in self._since:
            logger.warning(
                "%s was left by a worker that stopped, and this one does not serve its model: "
                "for %.0f s it is left for another",
                left.id,
                self._patience_s,
            )
            self._note(left.id)
        return True

    def _note(self, id: str) -> None:
        """And forgets those that another worker must have taken."""
        now = time.monotonic()
        forgotten = now - 2 * self._patience_s
        self._since = {id: since for id, since in self._since.items() if since > forgotten}
        self._since[id] = now
