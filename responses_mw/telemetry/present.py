"""What an application has under way at one moment, for whoever shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Present:
    """`health` is by deployment. Of each callback: its name, and how many events wait, were dropped
    and failed; several may have one name."""

    running: int = 0
    running_in_background: int = 0
    store_calls: int = 0
    health: Mapping[str, str] = field(default_factory=dict)
    callbacks: Sequence[tuple[str, int, int, int]] = ()
