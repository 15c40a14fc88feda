"""Two providers behind one entry of a configuration, where a wildcard may mean models that are
asked in different formats: Claude in its own, all others in the platform's.
"""

from collections.abc import AsyncIterator

from responses_mw.deltas import Delta
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Turn


class ByModel:
    """Asks whoever serves the turn's model. `usual` names both in records and prices."""

    def __init__(self, usual: HTTPProvider, *, claude: HTTPProvider) -> None:
        self._usual = usual
        self._claude = claude
        self.name = usual.name
        self.base_url = usual.base_url

    def __repr__(self) -> str:
        return f"ByModel({self._usual!r}, claude={self._claude!r})"

    def asked(self, model: str) -> HTTPProvider:
        return self._claude if "claude" in model.lower() else self._usual

    def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        return self.asked(turn.model).stream(turn)

    def batches(self, turn: Turn) -> AsyncIterator[list[Delta]]:
        return self.asked(turn.model).batches(turn)

    async def count(self, turn: Turn) -> int | None:
        return await self.asked(turn.model).count(turn)

    def scope(self, turn: Turn) -> str:
        return self.asked(turn.model).scope(turn)

    async def aclose(self) -> None:
        await self._usual.aclose()
        await self._claude.aclose()
