"""What is said at one step of the play of `handover_formats`, and what it takes to say it."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from upstream import Exchange

from responses_mw.adapters.base import Adapter, UpstreamRequest

Json = dict[str, Any]
PLACES = ("home", "work")


@dataclass(frozen=True)
class Scene:
    """What one model says at one step of the play. `hosted` are items that Responses says first."""

    format: str
    step: int
    hosted: tuple[Json, ...] = ()

    @property
    def calls(self) -> bool:
        return self.step % 2 == 1

    @property
    def thought(self) -> str:
        return f"{self.format} thinks {self.step}."

    @property
    def text(self) -> str:
        return f"{self.format} says {self.step}."

    @property
    def signature(self) -> str:
        return base64.b64encode(f"{self.format} signs {self.step}".encode()).decode()

    def id(self, place: str) -> str:
        return f"call_{self.format}_{self.step}_{place}"


@dataclass(frozen=True)
class Format:
    """`whole` and `streamed` say a scene; `judge` raises if a request is not a valid one."""

    adapter: Adapter
    model: str
    whole: Callable[[Scene], Json]
    streamed: Callable[[Scene], bytes]
    judge: Callable[[UpstreamRequest], None]
    content_type: str = "text/event-stream"

    async def answer(self, exchange: Exchange, scene: Scene) -> None:
        asked_for_stream = "stream" in exchange.path.lower() or exchange.json.get("stream")
        if not asked_for_stream:
            await exchange.whole(self.whole(scene))
            return
        await exchange.head(200, {"content-type": self.content_type, "connection": "close"})
        await exchange.send(self.streamed(scene))
        exchange.writer.close()

    def check(self, exchange: Exchange) -> None:
        self.judge(UpstreamRequest(exchange.path, exchange.json, exchange.headers))


def sse(*events: Json) -> bytes:
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
