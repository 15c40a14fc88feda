"""What a WebSocket client has said and nobody has answered yet: in order, and bounded."""

import asyncio
from collections import deque

from responses_mw.errors import InvalidRequest


class QueueFull(InvalidRequest):
    status = 429
    type = "rate_limit_error"
    code = "websocket_queue_full"


class Inbox:
    """Filled by one task, emptied by another. `size` bounds the bytes of all that waits."""

    def __init__(self, *, messages: int, size: int) -> None:
        self._messages = messages
        self._size = size
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self.closed = False
        self._ending = False

    def put(self, message: bytes) -> None:
        """Raises QueueFull; the message is then as if it had not been sent."""
        if len(self._waiting) >= self._messages or self._bytes + len(message) > self._size:
            raise QueueFull(
                f"{len(self._waiting)} messages of {self._bytes} bytes wait already, behind the "
                "response under way; send this one again when they have been answered."
            )
        self._waiting.append(message)
        self._bytes += len(message)
        self._changed.set()

    def close(self) -> None:
        """The client has gone: what waits is not answered."""
        self.closed = True
        self._waiting.clear()
        self._changed.set()

    def end(self) -> None:
        """What waits is not answered, for the server ends; what is being answered goes on."""
        self._ending = True
        self._changed.set()

    async def take(self) -> bytes | None:
        """The oldest message, once there is one; None when closed or ending."""
        while self._ending or not self._waiting:
            if self.closed or self._ending:
                return None
            self._changed.clear()
            await self._changed.wait()
        message = self._waiting.popleft()
        self._bytes -= len(message)
        return message
