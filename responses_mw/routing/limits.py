"""How much a deployment may be asked in a minute, and how much of that it was."""

from responses_mw.errors import UpstreamRefused
from responses_mw.routing.standing import Standing

MINUTE_S = 60


def minute_of(wall: float) -> int:
    """Minutes of the wall clock: all workers count in the same ones."""
    return int(wall // MINUTE_S)


def used(standing: Standing) -> float:
    """The share (0..1 and beyond) of its limits; of one without limits, its tokens as so many
    millionths."""
    deployment = standing.deployment
    shares = [
        spent / limit
        for spent, limit in ((standing.requests, deployment.rpm), (standing.tokens, deployment.tpm))
        if limit
    ]
    return max(shares) if shares else (standing.tokens + standing.requests) / 1_000_000


def is_spent(standing: Standing) -> bool:
    rpm, tpm = standing.deployment.rpm, standing.deployment.tpm
    return (rpm is not None and standing.requests >= rpm) or (
        tpm is not None and standing.tokens >= tpm
    )


def spent(standing: Standing, wall: float) -> UpstreamRefused:
    """What a client is told when nobody has anything left."""
    return UpstreamRefused(
        "Every deployment of this model was asked as often as it may be in this minute.",
        status=429,
        type="rate_limit_error",
        code="rate_limit_exceeded",
        provider=standing.id,
        retry_after=MINUTE_S - wall % MINUTE_S,
    )
