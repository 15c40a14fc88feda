"""A session store whose calls are timed; in everything else it is the one it was made from."""

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any, cast

from stores.base import SessionStore

Observed = Callable[[str], Callable[[float], None]]
"""Gets the name of a method, once. What it returns is told the seconds of each call, whether that
returned or raised."""


class TimedStore:
    """`pending` is how many calls wait or are under way."""

    def __init__(self, store: SessionStore, observed: Observed) -> None:
        self._store = store
        self.keeps_accounts = store.keeps_accounts  # each response asks
        self._observed = observed
        self.pending = 0

    def as_store(self) -> SessionStore:
        # It has every method of the store's own class, later ones too, which no subclass would.
        return cast(SessionStore, self)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name.startswith("_") or not inspect.ismethod(found):
            return found
        if inspect.iscoroutinefunction(found):
            found = self._timed(name, found)
        setattr(self, name, found)  # the next call finds it without asking here
        return found

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        observe = self._observed(name)

        @functools.wraps(method)
        async def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            self.pending += 1
            try:
                return await method(*args, **kwargs)
            finally:
                self.pending -= 1
                observe(time.perf_counter() - began)

        return timed
