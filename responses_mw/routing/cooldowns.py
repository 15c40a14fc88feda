"""Whether a deployment is well: it cools down after failures and comes back by a probe.

Only one deployment's health is kept here; what is done about it, `course` decides.
"""

from typing import Literal

from responses_mw.errors import ResponsesError, UpstreamError, UpstreamRefused
from responses_mw.routing.options import Routing

Health = Literal["healthy", "cooling", "probing"]

_WINDOW_S = 60.0
_LONGEST_S = 300.0
_PROBE_S = 60.0
"""A probe that took longer is no reason to let nobody else try."""


class Cooldown:
    """`until` is when it may be tried again, None while it is well. Times are of one clock."""

    __slots__ = ("_fails", "_heard", "_probe_until", "_rounds", "_routing", "_window", "until")

    def __init__(self, routing: Routing) -> None:
        self._routing = routing
        self._fails = 0
        self._window = 0.0
        self._rounds = 0
        self._probe_until = 0.0
        self._heard = False
        self.until: float | None = None

    def health(self, now: float) -> Health:
        if self.until is None:
            return "healthy"
        return "cooling" if now < self.until or now < self._probe_until else "probing"

    def enter(self, now: float) -> bool:
        """Whether it may be asked. Of one that has cooled down, only one turn at a time."""
        if self.until is None:
            return True
        if self.health(now) == "cooling":
            return False
        self._probe_until = now + _PROBE_S
        return True

    def leave(self) -> None:
        """Whoever entered was not answered and has not failed: somebody else may try."""
        self._probe_until = 0.0

    def succeeded(self) -> bool:
        """Whether it had been cooling."""
        was = self.until is not None
        if was:
            self.until = None
            self._fails = self._rounds = 0
            self._probe_until = 0.0
        return was

    def failed(self, now: float, error: ResponsesError) -> float | None:
        """For how long it cools down from now on; None if this failure does not make it."""
        if not self._routing.cooldowns or not is_failure(error):
            return None
        if now - self._window > _WINDOW_S:
            self._window, self._fails = now, 0
        self._fails += 1
        asked_for = error.retry_after if isinstance(error, UpstreamError) else None
        cools = self.until is not None or self._fails > self._routing.allowed_fails
        if not cools and not asked_for:
            return None
        seconds = min(self._routing.cooldown_s * 2.0**self._rounds, _LONGEST_S)
        if asked_for:
            seconds = max(seconds if cools else 0.0, min(asked_for, _LONGEST_S))
        self._rounds = min(self._rounds + 1, 16)
        self._probe_until = 0.0
        self._heard = False
        self.until = now + seconds
        return seconds

    def hear(self, until: float | None) -> None:
        """What other workers know of it."""
        if until is not None:
            if self.until is None or until > self.until:
                self.until, self._heard = until, True
        elif self._heard:
            self.until, self._heard = None, False


def is_failure(error: ResponsesError) -> bool:
    """Whether it says something of the deployment, rather than of the turn."""
    if not isinstance(error, UpstreamError):
        return False
    if isinstance(error, UpstreamRefused):
        return error.status in (401, 403, 404, 408, 429) or error.status >= 500
    return True
