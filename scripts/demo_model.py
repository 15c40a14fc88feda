"""The demo's model: the local one, with what it is sent written to a file for the demo to show."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from responses_mw.deltas import Delta
from responses_mw.local import LocalModel
from responses_mw.turn import Turn


class Watched:
    def __init__(self) -> None:
        self._model = LocalModel()
        self._file = Path(os.environ["RESPONSES_MW_DEMO_TURNS"])

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        with self._file.open("a") as file:
            print(json.dumps(list(turn.items)), file=file)
        async for delta in self._model.stream(turn):
            yield delta

    async def aclose(self) -> None:
        await self._model.aclose()
