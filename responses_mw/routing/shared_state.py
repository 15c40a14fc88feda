"""What the workers of one service tell each other through Redis: use of the minute, cooldowns, who
answered whom.

Only Redis is spoken here. It is never needed: while it is away, every worker goes on by itself.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from responses_mw.errors import ConfigurationError
from responses_mw.routing.standing import Standing

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

logger = logging.getLogger("responses_mw")

_AWAY_S = 5.0
"""For so long nobody asks a Redis that did not answer."""
_ANSWER_S = 0.5
_COUNTED_S = 120


class SharedState:
    """Times are of the wall clock, `minute` counts them. Connections are made per event loop."""

    def __init__(self, url: str, wall: Callable[[], float], *, prefix: str = "rmw:") -> None:
        try:
            import redis.asyncio  # noqa: F401  # an extra: it is missed here, not at the first turn
        except ModuleNotFoundError as error:
            message = "sharing limits needs redis: pip install 'responses-mw[redis]'"
            raise ConfigurationError(message) from error
        self._url = url
        self._wall = wall
        self._prefix = prefix
        self._clients: dict[asyncio.AbstractEventLoop, Redis] = {}
        self._away_until = 0.0

    async def read(
        self, standings: Sequence[Standing], keys: Sequence[str], *, minute: int, now: float
    ) -> str | None:
        """Tells the standings what other workers know; `now` is of their own clock. Returns who
        was remembered for the first of `keys` that is known."""
        names = [self._cool(standing.id) for standing in standings]
        for standing in standings:
            names += self._counters(standing.id, minute)
        names += [self._affinity(key) for key in keys]
        found = await self._tried(lambda redis: redis.mget(names))
        if found is None:
            return None
        behind = self._wall() - now
        for n, standing in enumerate(standings):
            until = _number(found[n])
            standing.cooldown.hear(None if until is None else until - behind)
            standing.roll(minute)
            requests, tokens = found[len(standings) + 2 * n : len(standings) + 2 * n + 2]
            standing.requests, standing.tokens = _count(requests), _count(tokens)
        remembered = found[3 * len(standings) :]
        return next((_text(id) for id in remembered if id is not None), None)

    async def count_request(self, id: str, *, minute: int) -> int | None:
        """How many it makes in this minute, over all workers; None if that cannot be known."""
        name, _ = self._counters(id, minute)
        return await self._tried(lambda redis: _counted(redis, name, 1))

    async def count_tokens(self, id: str, tokens: int, *, minute: int) -> None:
        _, name = self._counters(id, minute)
        await self._tried(lambda redis: _counted(redis, name, tokens))

    async def cooled(self, id: str, seconds: float) -> None:
        until = repr(self._wall() + seconds)
        milliseconds = max(1, int(seconds * 1000))
        await self._tried(lambda redis: redis.set(self._cool(id), until, px=milliseconds))

    async def recovered(self, id: str) -> None:
        await self._tried(lambda redis: redis.delete(self._cool(id)))

    async def remember(self, keys: Sequence[str], id: str, *, ttl_s: float) -> None:
        async def set_all(redis: "Redis") -> None:
            async with redis.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.set(self._affinity(key), id, px=max(1, int(ttl_s * 1000)))
                await pipe.execute()

        await self._tried(set_all)

    async def aclose(self) -> None:
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    # --- names

    def _cool(self, id: str) -> str:
        return f"{self._prefix}cool:{id}"

    def _counters(self, id: str, minute: int) -> tuple[str, str]:
        return f"{self._prefix}rpm:{id}:{minute}", f"{self._prefix}tpm:{id}:{minute}"

    def _affinity(self, key: str) -> str:
        return f"{self._prefix}affinity:{key}"

    # --- calling

    async def _tried(self, call: "Callable[[Redis], Awaitable[T]]") -> T | None:
        from redis.exceptions import RedisError

        if self._wall() < self._away_until:
            return None
        try:
            return await call(self._client())
        except (RedisError, OSError) as error:
            self._away_until = self._wall() + _AWAY_S
            logger.warning(
                "Redis did not answer (%s): limits, cooldowns and affinities are this worker's own",
                type(error).__name__,
            )
            return None

    def _client(self) -> "Redis":
        from redis.asyncio import Redis

        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for gone in [old for old in self._clients if old.is_closed()]:
                del self._clients[gone]
            client = self._clients[loop] = Redis.from_url(
                self._url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S
            )
        return client


async def _counted(redis: "Redis", name: str, by: int) -> int:
    async with redis.pipeline(transaction=False) as pipe:
        pipe.incrby(name, by)
        pipe.expire(name, _COUNTED_S)
        results: list[Any] = await pipe.execute()
    return int(results[0])


def _number(value: bytes | str | None) -> float | None:
    """None for what is none: nobody answers worse for what somebody else wrote there."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _count(value: bytes | str | None) -> int:
    return max(0, int(_number(value) or 0))


def _text(value: bytes | str) -> str:
    """Bytes, unless the URL asks for text."""
    return value if isinstance(value, str) else value.decode(errors="replace")
