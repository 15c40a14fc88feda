"""Upstreams that answer or fail as a test says, and a router over them. Real sockets, chat
completions; time only where a test hands it in."""

import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp  # noqa: F401  # the first to need it waits for it, longer than some tests would
from upstream import Answer, Exchange, Upstream, upstream

from responses_mw import ChatCompletions, HTTPProvider, Timeouts
from responses_mw.adapters.chat_dialects import GENERIC
from responses_mw.deltas import Delta, TextDelta
from responses_mw.records import Caller, TurnRecord
from responses_mw.router import Clock, Deployment, Router, Routing
from responses_mw.turn import Span, Turn


def saying(text: str, *, tokens: int = 10) -> Answer:
    async def answer(exchange: Exchange) -> None:
        usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
        if not exchange.json.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            await exchange.whole({"id": "c", "model": "m", "choices": [choice], "usage": usage})
            return
        await exchange.sse()
        await exchange.event(chunk({"role": "assistant", "content": text}))
        await exchange.event({**chunk({}, finish="stop"), "usage": usage})
        await exchange.event(b"[DONE]")
        exchange.writer.close()

    return answer


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def status(code: int, *, message: str = "no", error: str | None = None, **headers: str) -> Answer:
    async def answer(exchange: Exchange) -> None:
        body = {"error": {"message": message, "type": "error", "code": error}}
        await exchange.whole(body, code, **headers)

    return answer


async def reset(exchange: Exchange) -> None:
    exchange.writer.transport.abort()


async def stall(exchange: Exchange) -> None:
    """Takes the turn and never answers."""
    await exchange.gone.wait()


async def stall_in_stream(exchange: Exchange) -> None:
    """Says that it accepted the turn, and nothing else."""
    await exchange.sse()
    await exchange.gone.wait()


async def stall_after_a_word(exchange: Exchange) -> None:
    await exchange.sse()
    await exchange.event(chunk({"role": "assistant", "content": "half"}))
    await exchange.gone.wait()


async def reset_after_a_word(exchange: Exchange) -> None:
    await exchange.sse()
    await exchange.event(chunk({"role": "assistant", "content": "half"}))
    exchange.writer.transport.abort()


async def garbage_after_a_word(exchange: Exchange) -> None:
    await exchange.sse()
    await exchange.event(chunk({"role": "assistant", "content": "half"}))
    await exchange.send(b"data: {]]]\n\n")
    exchange.writer.close()


async def half_a_frame_after_a_word(exchange: Exchange) -> None:
    await exchange.sse()
    await exchange.event(chunk({"role": "assistant", "content": "half"}))
    await exchange.send(b'data: {"id": "c", "choices": [{"ind')
    exchange.writer.close()


async def half_an_answer(exchange: Exchange) -> None:
    """Of one that is not streamed: fewer bytes than were promised."""
    await exchange.head(200, {"content-type": "application/json", "content-length": "500"})
    await exchange.send(b'{"id": "c", "choices": [{"ind')
    exchange.writer.close()


async def garbage(exchange: Exchange) -> None:
    await exchange.sse()
    await exchange.send(b"data: {]]]\n\n")
    exchange.writer.close()


async def half_a_frame(exchange: Exchange) -> None:
    await exchange.sse()
    await exchange.send(b'data: {"id": "c", "choices": [{"ind')
    exchange.writer.close()


@contextlib.asynccontextmanager
async def upstreams(*answers: Answer) -> AsyncIterator[list[Upstream]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(upstream(answer)) for answer in answers]


def at(place: Upstream | str, id: str | None = None, **options: Any) -> Deployment:
    url = place if isinstance(place, str) else place.url
    timeouts = Timeouts(connect=1, read=options.pop("read_s", 5))
    provider = HTTPProvider(ChatCompletions(GENERIC), base_url=url, timeouts=timeouts)
    return Deployment(provider, model=options.pop("model", "m"), id=id, **options)


class Time:
    """A clock that goes on when it is told to; who sleeps wakes at once, later."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.at, wall=lambda: self.at, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@contextlib.asynccontextmanager
async def router(
    models: dict[str, Sequence[Deployment]],
    *,
    time: Time | None = None,
    seed: int = 7,
    **routing: Any,
) -> AsyncIterator[Router]:
    clock = None if time is None else time.clock
    made = Router(models, Routing(**routing), clock=clock, rng=random.Random(seed))
    try:
        yield made
    finally:
        await made.aclose()


def turn(model: str = "m", *, stream: bool = True, **options: Any) -> Turn:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    return Turn(model=model, spans=options.pop("spans", [Span([item])]), stream=stream, **options)


def record(model: str = "m", **fields: Any) -> TurnRecord:
    caller = fields.pop("caller", Caller("ann"))
    return TurnRecord("resp_1", caller, model, 0.0, 0.0, True, True, False, **fields)


class Answered:
    """Who answered with what, and what the record says of it."""

    def __init__(self, noted: TurnRecord) -> None:
        self.noted = noted
        self.by: str | None = None
        self.model: str | None = None
        self.deltas: list[Delta] = []

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta))

    @property
    def asked(self) -> list[str]:
        return [attempt.deployment for attempt in self.noted.attempts]


async def ask(
    asked: Router, model: str = "m", *, noted: TurnRecord | None = None, **options: Any
) -> Answered:
    answered = Answered(noted or record(model))
    batches = asked.batches(turn(model, **options), answered.noted)
    async with contextlib.aclosing(batches):
        async for deployment, deltas in batches:
            answered.by, answered.model = deployment.id, deployment.model
            answered.deltas += deltas
    return answered


async def shares(asked: Router, turns: int, **options: Any) -> dict[str, int]:
    """How many of so many turns each deployment answered."""
    found: dict[str, int] = {}
    for _ in range(turns):
        answered = await ask(asked, **options)
        found[str(answered.by)] = found.get(str(answered.by), 0) + 1
    return found
