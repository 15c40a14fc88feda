"""Notices that the time of day has jumped: a machine woke up, or somebody set its clock.

Leases are told by the time of day, so that every worker can read them. Right after a jump those of
the other workers look as if they were over, until these have renewed them by the same clock.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime


def _time_of_day() -> float:
    """What leases are told by."""
    return datetime.now(UTC).timestamp()


class Jumps:
    """`lease_s` is how long a lease holds; whoever is alive has renewed it within that time."""

    def __init__(
        self,
        lease_s: float,
        *,
        wall: Callable[[], float] = _time_of_day,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease_s = lease_s
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._settled_at = steady()

    def settled(self) -> bool:
        """Whether leases can be judged: False for the time of a lease after a jump. To be asked
        more often than leases end."""
        now = self._steady()
        offset = self._wall() - now
        # What is renewed three times in its life bears less than this.
        if abs(offset - self._offset) > self._lease_s / 3:
            self._settled_at = now + self._lease_s
        self._offset = offset
        return now >= self._settled_at
