"""Whom to ask in one turn, and whom next: what the router does about failures is decided here.

First the healthy deployments of the model, each once; then again, after a wait, those that may do
better; then the models that may take its place; those that cool down when nobody else is left.
"""

import logging
from collections.abc import Sequence

from responses_mw.errors import (
    ResponsesError,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from responses_mw.records import Attempt, TurnRecord
from responses_mw.routing.admission import over_limits, too_long
from responses_mw.routing.attempts import Asked
from responses_mw.routing.directory import Found
from responses_mw.routing.fallbacks import (
    fallbacks_for,
    is_worth_again,
    is_worth_another,
    most_telling,
)
from responses_mw.routing.known import Known
from responses_mw.routing.limits import minute_of
from responses_mw.routing.shared_state import SharedState
from responses_mw.routing.standing import Standing
from responses_mw.routing.strategies import STRATEGIES, Moment, by_tier
from responses_mw.turn import Turn

logger = logging.getLogger("responses_mw")

LONGEST_BACKOFF_S = 8.0
MOST_RETRIES = 10
"""Whatever a caller asks for."""


class Course:
    """Of one turn. `next` until somebody answers; `failed` after each that did not."""

    __slots__ = (
        "_asked_at", "_ends", "_errors", "_first", "_forced", "_found", "_keys", "_known", "_last",
        "_limited", "_models", "_opened", "_passed_over", "_preferred", "_put_off", "_queue",
        "_record", "_routing", "_tries", "_turn", "_visited",
    )  # fmt: skip

    def __init__(self, known: Known, turn: Turn, record: TurnRecord) -> None:
        self._known = known
        self._turn = turn
        self._record = record
        self._routing = known.routing
        self._limited = known.limited
        self._found = known.directory.get(turn.model)
        self._first = self._found
        self._asked_at = known.clock.now()
        timeout = record.caller.timeout_s or known.routing.timeout_s
        self._ends = None if timeout is None else self._asked_at + timeout
        self._models: list[str] = []
        """To be asked in place of those before, the next first."""
        self._visited = {self._found.model}
        self._queue: list[Standing] = []
        self._opened = False
        self._forced = False
        self._put_off: list[tuple[Found, Standing]] = []
        self._tries: dict[Standing, int] = {}
        self._last: dict[Standing, ResponsesError] = {}
        """How each of those asked failed."""
        self._passed_over: dict[Standing, UpstreamRefused] = {}
        """Why these were not asked at all."""
        self._errors: list[ResponsesError] = []
        self._preferred: list[Standing] = []
        self._keys: list[str] = []

    # --- whom

    async def next(self) -> Asked:
        """Raises the most telling error when nobody is left."""
        if not self._opened:
            self._opened = True
            await self._begin()
        while True:
            if self._is_over() or not (self._queue or await self._refill()):
                raise self._given_up()
            standing = self._queue.pop(0)
            if not self._may_be_asked(standing):
                continue
            if not self._limited or await self._is_within_limits(standing):
                return self._ask(standing)

    async def _begin(self) -> None:
        """Queues the model's deployments, those first that the turn would rather go to."""
        known, standings = self._known, self._found.standings
        self._keys = known.affinities.keys(self._turn, self._record)
        recalled = None
        if self._keys:
            recalled = known.affinities.recall(self._keys, known.clock.now())
        if known.shared is not None:
            recalled = await self._told_by_others(known.shared, self._keys) or recalled
        self._queue = self._ordered()
        if len(standings) == 1:
            return
        self._preferred = known.affinities.preferred(
            self._turn, self._record, standings, recalled, self._own_turn
        )
        if self._preferred:
            self._queue.sort(key=lambda standing: standing not in self._preferred)

    async def _told_by_others(self, shared: SharedState, keys: Sequence[str] = ()) -> str | None:
        """Who answered the first of `keys` that another worker knows."""
        clock = self._known.clock
        minute = minute_of(clock.wall())
        return await shared.read(self._found.standings, keys, minute=minute, now=clock.now())

    def _ordered(self) -> list[Standing]:
        standings, known = self._found.standings, self._known
        if len(standings) == 1:
            return list(standings)
        if self._limited:
            minute = minute_of(known.clock.wall())
            for standing in standings:
                standing.roll(minute)
        buffer = self._routing.latency_buffer
        moment = Moment(known.clock.now(), known.rng, known.price, buffer)
        return by_tier(STRATEGIES[self._routing.strategy](standings, moment))

    def _may_be_asked(self, standing: Standing) -> bool:
        if self._routing.check_input_length and self._passes_over(
            standing, too_long(self._turn, standing)
        ):
            return False
        if not self._forced and not standing.cooldown.enter(self._known.clock.now()):
            self._put_off.append((self._found, standing))
            return False
        return True

    async def _is_within_limits(self, standing: Standing) -> bool:
        if self._passes_over(standing, await over_limits(self._known, standing)):
            standing.cooldown.leave()
            return False
        return True

    def _passes_over(self, standing: Standing, refusal: UpstreamRefused | None) -> bool:
        if refusal is not None:
            self._passed_over[standing] = refusal
        return refusal is not None

    def _ask(self, standing: Standing) -> Asked:
        deployment = self._found.deployment(standing)
        self._tries[standing] = self._tries.get(standing, 0) + 1
        standing.busy += 1
        streamed, routing = self._turn.stream, self._routing
        first, idle = deployment.first_delta_s, deployment.idle_s
        first = routing.first_delta_s if first is None else first
        idle = routing.idle_s if idle is None else idle
        return Asked(
            standing,
            deployment,
            deployment.as_asked(self._turn),
            started=self._known.clock.now(),
            ends=self._ends,
            first_delta_s=first if streamed else None,
            idle_s=idle if streamed else None,
            refused_content_moves_on=bool(routing.content_policy_fallbacks),
            counted=self._limited,
            on_probation=standing.cooldown.until is not None,
        )

    def _own_turn(self, standing: Standing) -> Turn:
        return self._found.deployment(standing).as_asked(self._turn)

    # --- whom next

    async def _refill(self) -> bool:
        """Whether there is somebody left to ask."""
        error = self._of_this_model()
        again = is_worth_another(error)
        for model in fallbacks_for(self._routing, self._found.model, error):
            if model not in self._models and self._is_new(model):
                self._models.append(model)
        if again and not self._models and self._take_put_off():
            return True
        if again and await self._wait_for_another_try():
            return True
        return await self._go_to_next_model() or (again and self._take_put_off())

    def _of_this_model(self) -> ResponsesError:
        for known in (self._last, self._passed_over):
            errors = [known[each] for each in self._found.standings if each in known]
            if errors:
                return most_telling(errors)
        return UpstreamUnavailable(f"every deployment of {self._found.model} cools down")

    def _is_new(self, model: str) -> bool:
        return self._known.directory.get(model).model not in self._visited

    def _take_put_off(self) -> bool:
        if not self._put_off:
            return False
        self._found, standing = self._put_off.pop(0)
        self._queue, self._forced = [standing], True
        return True

    async def _go_to_next_model(self) -> bool:
        while self._models and len(self._visited) <= self._routing.max_fallbacks:
            model = self._models.pop(0)
            if self._is_new(model):
                self._found = self._known.directory.get(model)
                self._visited.add(self._found.model)
                if self._known.shared is not None:
                    await self._told_by_others(self._known.shared)
                self._queue, self._forced = self._ordered(), False
                return True
        self._models.clear()
        return False

    async def _wait_for_another_try(self) -> bool:
        """Waits as long as the least patient upstream of those asked wants, if that is allowed."""
        standings = self._found.standings
        tried = [standing for standing in standings if standing in self._tries]
        count = sum(self._tries[standing] for standing in tried)
        at_most = max(len(standings), 1 + max(map(self._retries, standings)))
        backoff = min(self._routing.backoff_s * 2 ** (count - len(tried)), LONGEST_BACKOFF_S)
        backoff *= 0.5 + self._known.rng.random() / 2
        least = max(backoff, self._routing.least_wait_s)
        waits = [
            (max(least, _asked_for(self._last[standing])), n)
            for n, standing in enumerate(tried)
            if is_worth_again(self._last[standing])
            and standing not in self._passed_over
            and self._tries[standing] <= self._retries(standing)
        ]
        if count >= at_most or not waits:
            return False
        seconds, n = min(waits)
        if seconds > self._routing.most_wait_s or self._is_over(in_s=seconds):
            return False
        await self._known.clock.sleep(seconds)
        self._queue, self._forced = [tried[n]], True
        return True

    def _retries(self, standing: Standing) -> int:
        wanted = self._record.caller.retries
        if wanted is not None:
            return min(wanted, MOST_RETRIES)
        own = standing.deployment.max_retries
        return self._routing.retries if own is None else own

    def _is_over(self, *, in_s: float = 0.0) -> bool:
        return self._ends is not None and self._known.clock.now() + in_s >= self._ends

    def _given_up(self) -> ResponsesError:
        errors = self._errors or list(self._passed_over.values())
        if errors:
            return most_telling(errors)
        seconds = self._known.clock.now() - self._asked_at
        return UpstreamTimeout(f"nobody answered for {self._turn.model} within {seconds:.3g} s")

    # --- what became of it

    async def began(self, asked: Asked) -> None:
        known, standing = self._known, asked.standing
        now = known.clock.now()
        asked.begun = True
        self._record.attempts.append(self._attempt(asked))
        standing.measure(now - asked.started, now)
        self._note_fallback(asked)
        if self._keys:
            known.affinities.remember(self._keys, standing.id, now)
            if known.shared is not None:
                ttl_s = self._routing.affinity_ttl_s
                await known.shared.remember(self._keys, standing.id, ttl_s=ttl_s)

    async def failed(self, asked: Asked, error: ResponsesError) -> None:
        known, standing = self._known, asked.standing
        if not asked.begun:
            self._record.attempts.append(self._attempt(asked, error))
            self._errors.append(error)
            self._last[standing] = error
        if not is_worth_another(error):
            self._queue = []
            self._put_off = [each for each in self._put_off if each[0] is not self._found]
        if self._is_over() and self._record.caller.timeout_s is not None:
            return  # whoever gives a deployment no time learns nothing of it
        cools_s = standing.cooldown.failed(known.clock.now(), error)
        if cools_s is None:
            return
        logger.warning(
            "%s cools down for %.0f s: %s", standing.id, cools_s, error.code or error.type
        )
        if known.shared is not None:
            await known.shared.cooled(standing.id, cools_s)

    async def ended(self, asked: Asked) -> None:
        known, standing = self._known, asked.standing
        if asked.on_probation and standing.cooldown.succeeded():
            logger.info("%s is well again", standing.id)
            if known.shared is not None:
                await known.shared.recovered(standing.id)
        if asked.usage is not None:
            tokens = asked.usage.input_tokens + asked.usage.output_tokens
            standing.tokens += tokens
            if known.shared is not None:
                minute = minute_of(known.clock.wall())
                await known.shared.count_tokens(standing.id, tokens, minute=minute)

    def left(self, asked: Asked) -> None:
        """Whatever happened: nobody is there any more."""
        asked.standing.busy -= 1
        if asked.on_probation:
            asked.standing.cooldown.leave()

    def _note_fallback(self, asked: Asked) -> None:
        """Says so where somebody else answers than was asked for."""
        if self._found.model != self._first.model:
            note = f"{self._first.model}->{self._found.model}"
        elif self._preferred and asked.standing not in self._preferred:
            note = f"{self._preferred[0].id}->{asked.standing.id}"
        else:
            return
        self._record.fallback = note
        logger.info("%s: answered elsewhere, %s", self._record.id, note)

    def _attempt(self, asked: Asked, error: ResponsesError | None = None) -> Attempt:
        """Of one that answered, the time until it began to."""
        code = None if error is None else error.code or error.type
        return Attempt(asked.standing.id, asked.started, self._known.clock.now(), code)


def _asked_for(error: ResponsesError) -> float:
    return (error.retry_after or 0.0) if isinstance(error, UpstreamError) else 0.0
