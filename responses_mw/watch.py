"""Whom each moment of a response concerns, of those who watch an application."""

from collections.abc import Callable

from responses_mw.batch import Batch
from responses_mw.records import Observer, Observers, TurnRecord

_Told = list[Callable[[TurnRecord], None]]


class Watch:
    """The observers of one application. Each is asked only at the moments it does something at."""

    all: Observers
    started: _Told
    heard: _Told
    ended: _Told

    def __init__(self, observers: Observers) -> None:
        self._rows: Batch[TurnRecord] = Batch(self._tell)
        self.set(observers)

    def set(self, observers: Observers) -> None:
        """While nothing is generated."""
        self._rows.drain()
        self.all = tuple(observers)
        self.started = [each.on_start for each in self.all if _does(each, "on_start")]
        self.heard = [each.on_first_delta for each in self.all if _does(each, "on_first_delta")]
        self.ended = [each.on_end for each in self.all if _does(each, "on_end")]
        self._later = [each.on_ended for each in self.all if _does(each, "on_ended")]
        if self._later:
            self.ended.append(self._rows.add)

    def _tell(self, records: list[TurnRecord]) -> None:
        for told in self._later:
            told(records)


def _does(observer: Observer, moment: str) -> bool:
    return getattr(type(observer), moment, None) not in (None, getattr(Observer, moment))
