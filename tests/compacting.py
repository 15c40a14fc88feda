"""A model that writes summaries, an application over it, and what it is asked."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2

from responses_mw.app import ResponsesApp
from responses_mw.compaction import INSTRUCTION
from responses_mw.deltas import (
    Delta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from responses_mw.router import Deployment
from responses_mw.settings import Settings
from responses_mw.testing import ScriptedProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.testing.providers import text_of
from responses_mw.turn import Turn
from stores import MemoryStore, SessionStore

ABOVE = [{"type": "compaction", "compact_threshold": 1000}]
LONG = "We agreed on Tuesday. " + "A long story goes on and on. " * 200


class Summariser:
    """Answers as told, and every request for a summary with "S" and how many there were."""

    def __init__(self, *answers: Any) -> None:
        self._script = ScriptedProvider(*answers)
        self.summaries: list[Turn] = []

    @property
    def turns(self) -> list[Turn]:
        return self._script.turns

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        if text_of(list(turn.items)[-1]) == INSTRUCTION:
            self.summaries.append(turn)
            yield TextDelta(f"S{len(self.summaries)}")
            yield UsageReported(1000, 10, cached_tokens=900)
            yield Stopped()
            return
        async for delta in self._script.stream(turn):
            yield delta


class Http:
    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def ask(self, input: Any, **body: Any) -> Any:
        return (await self.answer(input, **body)).json()

    async def answer(
        self, input: Any, *, path: str = "/responses", owner: str = "ann", **body: Any
    ) -> httpx2.Response:
        asked = {"model": "m", **({} if input is None else {"input": input}), **body}
        return await self.client.post(path, json=asked, headers={"owner": owner})

    async def compact(self, input: Any = None, **body: Any) -> Any:
        return await self.ask(input, path="/responses/compact", **body)


class serving:
    """An application over one provider, and its client."""

    def __init__(self, provider: Any, store: SessionStore | None = None, **deployment: Any) -> None:
        self.app = ResponsesApp(
            store=store or MemoryStore(),
            models={"m": Deployment(provider, **deployment)},
            owner=lambda request: request.headers["owner"],
            settings=Settings(drain_s=1),
        )

    async def __aenter__(self) -> Http:
        self._lifespan = self.app.lifespan()
        await self._lifespan.__aenter__()
        transport = InProcessTransport(self.app)
        self._client = httpx2.AsyncClient(transport=transport, base_url="http://test")
        return Http(self._client)

    async def __aexit__(self, *error: Any) -> None:
        await self._client.aclose()
        await self._lifespan.__aexit__(None, None, None)


def shown(turn: Turn) -> list[str]:
    return [text_of(item).removeprefix(HEADING) for item in turn.items]


HEADING = "Summary of the conversation up to here, written by the assistant:\n\n"


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def output(call_id: str) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": call_id, "output": "nothing"}


def calls(call_id: str) -> list[Delta]:
    return [ToolCallStarted(0, "look", call_id), ToolCallDelta(0, "{}"), Stopped()]
