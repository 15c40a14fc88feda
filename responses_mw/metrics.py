"""What an application counts of itself, gathered for Prometheus from wherever it happens."""

import importlib.util
from weakref import WeakSet

from responses_mw.errors import ConfigurationError
from responses_mw.records import Observer
from responses_mw.router import Router
from responses_mw.runtime import Runtime
from responses_mw.telemetry.callbacks import Callbacks
from responses_mw.telemetry.present import Present
from responses_mw.telemetry.timed_store import TimedStore
from stores.base import SessionStore


def can_count() -> bool:
    """Whether the extra `metrics` is installed."""
    return importlib.util.find_spec("prometheus_client") is not None


class Metrics:
    """Of one application, on all its event loops. Raises ConfigurationError without the extra."""

    def __init__(self, router: Router, callbacks: Callbacks | None) -> None:
        if not can_count():
            raise ConfigurationError(
                "Settings(metrics=True) needs prometheus_client: "
                "pip install 'responses-mw[metrics]'"
            )
        # Few applications count, and importing it takes a while.
        from responses_mw.telemetry.prometheus import CONTENT_TYPE, Prometheus

        self._prometheus = Prometheus(self._now)
        self.content_type = CONTENT_TYPE
        self._router = router
        self._callbacks = callbacks
        self._runtimes: WeakSet[Runtime] = WeakSet()
        self._stores: WeakSet[TimedStore] = WeakSet()

    @property
    def observer(self) -> Observer:
        return self._prometheus

    def exposed(self) -> bytes:
        return self._prometheus.exposed()

    def timed(self, store: SessionStore) -> SessionStore:
        """The same store, its calls timed."""
        timed = TimedStore(store, self._prometheus.observed)
        self._stores.add(timed)
        return timed.as_store()

    def watch(self, runtime: Runtime) -> None:
        self._runtimes.add(runtime)

    def _now(self) -> Present:
        running = [each for runtime in self._runtimes for each in runtime.generations.values()]
        mailboxes = [] if self._callbacks is None else self._callbacks.mailboxes
        return Present(
            running=len(running),
            running_in_background=sum(each.background for each in running),
            store_calls=sum(store.pending for store in self._stores),
            health=self._router.health,
            callbacks=[(box.name, box.waiting, box.dropped, box.failed) for box in mailboxes],
        )
