"""Whom each moment of a response concerns, of those who watch an application."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from responses_mw.batch import Batch
from responses_mw.records import Observer, Observers, TurnRecord

logger = logging.getLogger("responses_mw")

Told = Sequence[Callable[[Any], None]]


class Watch:
    """The observers of one application. Each is asked only at the moments it does something at;
    what one raises is logged, and keeps neither the response nor the others from going on."""

    all: Observers
    started: Told
    heard: Told
    ended: Told

    def __init__(self, observers: Observers) -> None:
        self._rows: Batch[TurnRecord] = Batch(self._tell_rows)
        self._raised = 0
        self.set(observers)

    def set(self, observers: Observers) -> None:
        """While nothing is generated."""
        self._rows.drain()
        self.all = tuple(observers)
        self.started = self._who("on_start")
        self.heard = self._who("on_first_delta")
        self._later = self._who("on_ended")
        self.ended = [*self._who("on_end"), *([self._rows.add] if self._later else [])]

    def tell(self, told: Told, seen: Any) -> None:
        """`told` is one of the moments above."""
        for observer in told:
            try:
                observer(seen)
            except Exception:
                # Not our code: whatever it raises, clients wait for the end of their response.
                self._raised += 1
                if is_seldom(self._raised):
                    name = getattr(observer, "__qualname__", type(observer).__qualname__)
                    logger.exception("%s raised (observers: %d so far)", name, self._raised)

    def _tell_rows(self, records: list[TurnRecord]) -> None:
        self.tell(self._later, records)

    def _who(self, moment: str) -> Told:
        nothing = (None, getattr(Observer, moment))
        return [
            getattr(observer, moment)
            for observer in self.all
            if getattr(type(observer), moment, None) not in nothing
        ]


def is_seldom(count: int) -> bool:
    """Powers of two: what goes on and on is not logged every time."""
    return count & (count - 1) == 0
