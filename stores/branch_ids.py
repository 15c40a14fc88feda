"""The numbers of new branches, in every database."""

import secrets
import time

RANDOM_BITS = 21
"""Of 63; the others hold milliseconds, for another century."""


def new_branch_id() -> int:
    """Time first: turns of the same moment lie on the same pages, so few are written, and those
    stay full. It need not be hard to guess: nobody outside can ask for it."""
    return (time.time_ns() // 1_000_000 << RANDOM_BITS) + secrets.randbits(RANDOM_BITS)
