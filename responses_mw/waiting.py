"""One turn at a time in a conversation: the next waits until it is free, and not for ever."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from responses_mw.errors import InvalidRequest
from responses_mw.preparation import kept
from stores.base import ConversationLocked

_LONGEST_PAUSE_S = 0.25


async def when_free(attempt: Callable[[], Awaitable[bool]], *, seconds: float) -> bool:
    """What `attempt` answers once it does not raise ConversationLocked. InvalidRequest
    (`conversation_locked`) where another turn still runs after `seconds`."""
    give_up = time.monotonic() + seconds
    pause = 0.01
    while True:
        try:
            return await kept(_unlocked(attempt))
        except _Locked:
            if time.monotonic() > give_up:
                raise InvalidRequest(
                    "Another turn of this conversation is still running. Try again later.",
                    param="conversation",
                    code="conversation_locked",
                ) from None
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


class _Locked(Exception):
    """Between here and `kept`, to which every StoreError is a failure."""


async def _unlocked(attempt: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await attempt()
    except ConversationLocked as error:
        raise _Locked from error
