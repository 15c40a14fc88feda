"""One deployment is asked once: its deltas, held back until they say something, within its times.

Nothing about other deployments stands here.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from responses_mw.deltas import Delta, Stopped, UpstreamInfo, UsageReported
from responses_mw.errors import UpstreamRefused, UpstreamTimeout
from responses_mw.routing.deployments import Deployment, Provider
from responses_mw.routing.patience import OutOfPatience, Patience
from responses_mw.routing.standing import Standing
from responses_mw.turn import Turn


@dataclass(slots=True)
class Asked:
    """Who was asked what. Times are of the router's clock; `ends` is when the whole turn must have
    ended."""

    standing: Standing
    deployment: Deployment
    turn: Turn
    started: float
    ends: float | None = None
    first_delta_s: float | None = None
    idle_s: float | None = None
    refused_content_moves_on: bool = False
    counted: bool = False
    """Whether somebody wants to know `usage`."""
    on_probation: bool = False
    """It had failed too often, and this turn tries whether it is well again."""
    begun: bool = False
    usage: UsageReported | None = None


Began = Callable[[Asked], Awaitable[None]]

_UNLIMITED = (None, None, None)


async def answer(
    asked: Asked, began: Began, clock: Callable[[], float]
) -> AsyncGenerator[list[Delta], None]:
    """`began` is awaited before the first batch. Raises UpstreamTimeout, and what the provider
    raises."""
    held: list[Delta] = []
    source = _batches(asked.deployment.provider, asked.turn)
    limits = (asked.ends, asked.first_delta_s, asked.idle_s)
    patience = None if limits == _UNLIMITED else Patience()
    try:
        while True:
            deltas = await _next(source, asked, patience, clock)
            if deltas is None:
                break
            if asked.counted:
                _note_usage(asked, deltas)
            if not asked.begun:
                held += deltas
                if not _says_something(deltas):
                    continue
                _check_content(asked, held)
                await began(asked)
                deltas, held = held, []
            yield deltas
    finally:
        if patience is not None:
            patience.close()
        aclose = getattr(source, "aclose", None)
        if aclose is not None:
            await aclose()
    if held:
        await began(asked)
        yield held


def _batches(provider: Provider, turn: Turn) -> AsyncIterator[list[Delta]]:
    batches = getattr(provider, "batches", None)
    if batches is None:
        return _singly(provider.stream(turn))
    found: AsyncIterator[list[Delta]] = batches(turn)
    return found


async def _singly(deltas: AsyncIterator[Delta]) -> AsyncGenerator[list[Delta], None]:
    try:
        async for delta in deltas:
            yield [delta]
    finally:
        aclose = getattr(deltas, "aclose", None)
        if aclose is not None:
            await aclose()


async def _next(
    source: AsyncIterator[list[Delta]],
    asked: Asked,
    patience: Patience | None,
    clock: Callable[[], float],
) -> list[Delta] | None:
    """None at the end."""
    if patience is None:
        return await anext(source, None)
    seconds = _seconds_left(asked, clock)
    if seconds is None:
        return await anext(source, None)
    try:
        return await patience.wait(anext(source, None), seconds)
    except OutOfPatience as error:
        raise _timed_out(asked, clock() - asked.started) from error


def _seconds_left(asked: Asked, clock: Callable[[], float]) -> float | None:
    """How long the next batch may take; None: as long as it wants."""
    if asked.begun and asked.ends is None:
        return asked.idle_s
    now = clock()
    silence = asked.idle_s
    if not asked.begun:
        first = asked.first_delta_s
        silence = None if first is None else asked.started + first - now
    if asked.ends is None:
        return silence
    seconds = asked.ends - now
    return seconds if silence is None else min(silence, seconds)


def _timed_out(asked: Asked, seconds: float) -> UpstreamTimeout:
    what = f"did not end within {seconds:.3g} s"
    if not asked.begun:
        what = f"said nothing within {seconds:.3g} s"
    elif asked.ends is None:
        what = f"fell silent for {asked.idle_s:g} s"
    return UpstreamTimeout(f"{asked.standing.id} {what}", provider=asked.standing.id)


def _note_usage(asked: Asked, deltas: Sequence[Delta]) -> None:
    for delta in deltas:
        if isinstance(delta, UsageReported):
            asked.usage = delta


def _says_something(deltas: Sequence[Delta]) -> bool:
    return any(not isinstance(delta, UpstreamInfo | UsageReported) for delta in deltas)


def _check_content(asked: Asked, held: Sequence[Delta]) -> None:
    """An answer that is nothing but a refusal is one that another model may give."""
    if not asked.refused_content_moves_on:
        return
    said = [delta for delta in held if not isinstance(delta, UpstreamInfo | UsageReported)]
    if all(isinstance(delta, Stopped) and delta.reason == "content_filter" for delta in said):
        raise UpstreamRefused(
            f"{asked.standing.id} would not answer because of its content filter",
            status=400,
            type="invalid_request_error",
            code="content_filter",
            provider=asked.standing.id,
            retryable=False,
        )
