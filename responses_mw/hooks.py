"""Hooks: the application's own code, which may change a turn or its answer, or stop either.

When a hook is called, in which order, and what may come back is decided here. What only watches is
an observer or a callback (`telemetry`).
"""

import contextlib
import dataclasses
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from responses_mw.deltas import Delta, ItemFinished, NativeTurn, Stopped, singly
from responses_mw.errors import ConfigurationError
from responses_mw.given import Answer, deltas_of, is_answer
from responses_mw.records import Caller, TurnRecord
from responses_mw.router import Answers, Deployment
from responses_mw.turn import Turn

METHODS = ("before_turn", "on_delta", "after_response")
ANSWERED_BY = "hook"
"""The deployment that is named where a hook answered."""


class Hooks:
    """Of one application, in the order given: the first is the first to see a turn and the last to
    see its answer.

    A hook is any object with some of these methods, sync or async, or a class of such objects, of
    which one is then made for every turn (what is held back of a stream needs a place):

        before_turn(turn, caller) -> Turn | str | Sequence[Delta] | response | None
            None leaves the turn as it is; a str, deltas or a response that `after_response` was
            given are the answer, and nobody is asked.
        on_delta(delta) -> Delta | Sequence[Delta] | None
            None leaves it as it is, `()` holds it back. `Stopped` is always the last chance to say
            what was held back; giving a `Stopped` for anything else ends the answer there.
        after_response(response) -> None
            The finished response, before it is kept; not for failed ones.

    What they raise from the tree in `errors` is told as it is (an InvalidRequest is a 4xx), and
    anything else is a 500.
    """

    def __init__(self, hooks: Sequence[Any] = ()) -> None:
        for hook in hooks:
            if not any(callable(getattr(hook, method, None)) for method in METHODS):
                raise ConfigurationError(
                    f"the hook {hook!r} has none of the methods {', '.join(METHODS)}"
                )
        self._hooks = tuple(hooks)

    def with_last(self, hook: Any) -> "Hooks":
        """These, and one more that is the last to see a turn."""
        return Hooks((*self._hooks, hook))

    def around(
        self, answers: Answers, caller: Caller, *, check: Callable[[str], None]
    ) -> "Hooked | None":
        """For one turn; None where there are no hooks. `check` raises InvalidRequest for a model
        that nobody serves."""
        if not self._hooks:
            return None
        own = [hook() if isinstance(hook, type) else hook for hook in self._hooks]
        return Hooked(own, answers, caller, check)


class Hooked:
    """Asks whoever answers what the hooks make of one turn, and tells what they make of the
    answer."""

    def __init__(
        self,
        hooks: Sequence[Any],
        answers: Answers,
        caller: Caller,
        check: Callable[[str], None],
    ) -> None:
        self._hooks = hooks
        self._answers = answers
        self._caller = caller
        self._check = check

    async def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]:
        asked, outer = await self._before(turn)
        answers = self._answers if isinstance(asked, Turn) else _Given(asked)
        batches = answers.batches(asked if isinstance(asked, Turn) else turn, record)
        passage = _Passage(outer)
        deployment: Deployment | None = None
        async with contextlib.aclosing(batches):
            async for deployment, deltas in batches:
                if said := await passage.through(deltas):
                    yield deployment, said
                if passage.cut:
                    return
        if deployment is not None and passage.expects_end:
            yield deployment, await passage.through([Stopped()])

    async def turn(self, turn: Turn) -> Turn | None:
        """As it would be asked; None where a hook would answer it."""
        asked, _ = await self._before(turn)
        return asked if isinstance(asked, Turn) else None

    async def review(self, response: dict[str, Any]) -> None:
        """Raises what a hook has against a finished response."""
        for hook in reversed(self._hooks):
            after = getattr(hook, "after_response", None)
            if after is not None:
                await _awaited(after(response))

    async def _before(self, turn: Turn) -> tuple[Turn | Answer, Sequence[Any]]:
        """What to ask or to answer, and the hooks that see what is said."""
        for n, hook in enumerate(self._hooks):
            before = getattr(hook, "before_turn", None)
            made = None if before is None else await _awaited(before(turn, self._caller))
            if isinstance(made, Turn):
                if made.model != turn.model:
                    self._check(made.model)
                turn = made
            elif is_answer(made):
                return made, self._hooks[:n]
            elif made is not None:
                raise TypeError(
                    f"before_turn of {type(hook).__name__} returned a {type(made).__name__}; "
                    "a Turn, a str, a sequence of deltas, a response or None is needed"
                )
        return turn, self._hooks


class _Passage:
    """Of one answer through the hooks, the last one first."""

    def __init__(self, hooks: Sequence[Any]) -> None:
        found = [getattr(hook, "on_delta", None) for hook in reversed(hooks)]
        self._hooks = [hook for hook in found if hook is not None]
        self._changed = False
        self.stopped = False
        self.cut = False
        """A hook ended the answer before the model did."""

    @property
    def expects_end(self) -> bool:
        """A provider need not say that it stopped; hooks are told."""
        return bool(self._hooks) and not self.stopped

    async def through(self, deltas: list[Delta]) -> list[Delta]:
        for hook in self._hooks:
            deltas = await self._through(hook, deltas)
        self.stopped = self.stopped or any(isinstance(delta, Stopped) for delta in deltas)
        return [told for delta in deltas if (told := self._honest(delta)) is not None]

    async def _through(self, hook: Callable[[Delta], Any], deltas: list[Delta]) -> list[Delta]:
        passed: list[Delta] = []
        for delta in singly(deltas):
            made = await _awaited(hook(delta))
            if made is None or made is delta:
                passed.append(delta)
                continue
            self._changed = True
            told = list(made) if isinstance(made, Sequence) else [made]
            passed += told
            if not isinstance(delta, Stopped) and any(isinstance(one, Stopped) for one in told):
                self.cut = True
                break
        return passed

    def _honest(self, delta: Delta) -> Delta | None:
        """The provider's own form of the answer says what the hooks took out of it."""
        if self._changed and isinstance(delta, NativeTurn):
            return None
        if self._changed and isinstance(delta, ItemFinished) and delta.native is not None:
            return dataclasses.replace(delta, native=None)
        return delta


class _Given:
    """What a hook says where a model would: the deployment, its provider, and the router."""

    def __init__(self, answer: Answer) -> None:
        self._deltas = deltas_of(answer)

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        for delta in self._deltas:
            yield delta

    async def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]:
        yield Deployment(self, id=ANSWERED_BY), self._deltas


async def _awaited(made: Any | Awaitable[Any]) -> Any:
    return await made if inspect.isawaitable(made) else made
