"""What becomes of a failure of the store: tried again, or told to the client."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from responses_mw.errors import InvalidRequest, StoreUnavailable
from stores.base import StoreBusy, StoreError

T = TypeVar("T")

logger = logging.getLogger("responses_mw")

_LONGEST_PAUSE_S = 1.0


async def persistently(attempt: Callable[[], Awaitable[T]], *, seconds: float) -> T:
    """What `attempt` answers: asked again for `seconds` while the store is busy or away. Raises
    StoreUnavailable; at once for what the store refuses."""
    give_up = time.monotonic() + seconds
    pause = 0.05
    while True:
        try:
            return await attempt()
        except StoreBusy as error:
            if time.monotonic() + pause > give_up:
                raise unavailable(error) from error
            logger.warning("the store failed, trying again: %s", error)
        except StoreError as error:
            raise unavailable(error) from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def previous_response_not_found(id: str | None) -> InvalidRequest:
    return InvalidRequest(
        f"Previous response with id '{str(id)[:100]}' not found.",
        param="previous_response_id",
        code="previous_response_not_found",
    )


def unavailable(error: StoreError) -> StoreUnavailable:
    logger.error("the store failed: %s", error)
    return StoreUnavailable(
        "The conversation store is not available. Try again.", headers={"Retry-After": "1"}
    )
