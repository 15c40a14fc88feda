"""Whether one deployment may be asked a turn at all: its input must fit, its minute not be spent.

Its health is none of this file's business.
"""

from responses_mw.counting import estimate
from responses_mw.errors import UpstreamRefused
from responses_mw.routing.known import Known
from responses_mw.routing.limits import is_spent, minute_of, spent
from responses_mw.routing.standing import Standing
from responses_mw.turn import Turn


def too_long(turn: Turn, standing: Standing) -> UpstreamRefused | None:
    limit = standing.deployment.max_input_tokens
    if limit is None:
        return None
    tokens = estimate(turn)
    if tokens <= limit:
        return None
    return UpstreamRefused(
        f"The input has about {tokens} tokens; {standing.id} takes {limit}.",
        status=400,
        type="invalid_request_error",
        code="context_length_exceeded",
        param="input",
        provider=standing.id,
        retryable=False,
    )


async def over_limits(known: Known, standing: Standing) -> UpstreamRefused | None:
    """Counts the request where it is not."""
    wall = known.clock.wall()
    minute = minute_of(wall)
    standing.roll(minute)
    if is_spent(standing):
        return spent(standing, wall)
    standing.requests += 1
    if known.shared is not None:
        counted = await known.shared.count_request(standing.id, minute=minute)
        if counted is not None:
            standing.requests = counted
            rpm = standing.deployment.rpm
            if rpm is not None and counted > rpm:
                return spent(standing, wall)
    return None
