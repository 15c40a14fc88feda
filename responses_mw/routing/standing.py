"""What a router has learnt of one deployment: its health, load, speed and use of this minute."""

import math

from responses_mw.routing.cooldowns import Cooldown
from responses_mw.routing.deployments import Deployment
from responses_mw.routing.options import Routing

_HALF_LIFE_S = 60.0
"""What was measured this long ago counts half of what is measured now."""
_FORGET_S = 300.0
"""A slow deployment that nobody asks any more seems half as slow after this time."""


class Standing:
    """Mutable, of one router; changed only by the event loop's own thread."""

    __slots__ = (
        "_measured", "_seconds", "busy", "cooldown", "deployment", "id", "minute", "requests",
        "share", "tier", "tokens",
    )  # fmt: skip

    def __init__(
        self, deployment: Deployment, routing: Routing, *, share: float | None = None
    ) -> None:
        """`share` is of a shuffle; None: all have the same."""
        self.deployment = deployment
        self.id = str(deployment.id)
        self.share = share
        self.tier = math.inf if deployment.order is None else deployment.order
        self.cooldown = Cooldown(routing)
        self.busy = 0
        self.minute = 0
        self.requests = 0
        self.tokens = 0
        self._seconds: float | None = None
        self._measured = 0.0

    def measure(self, seconds: float, now: float) -> None:
        """How long it took to say something."""
        if self._seconds is None:
            self._seconds = seconds
        else:
            kept = 0.5 * 0.5 ** ((now - self._measured) / _HALF_LIFE_S)
            self._seconds = kept * self._seconds + (1 - kept) * seconds
        self._measured = now

    def latency(self, now: float) -> float:
        """0 for one that was never measured: it is to be tried."""
        if self._seconds is None:
            return 0.0
        return float(self._seconds * 0.5 ** ((now - self._measured) / _FORGET_S))

    def roll(self, minute: int) -> None:
        """Begins to count anew when a minute has passed."""
        if minute != self.minute:
            self.minute, self.requests, self.tokens = minute, 0, 0
