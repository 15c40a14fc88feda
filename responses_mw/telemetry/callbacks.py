"""Callbacks: code of hosts and plugins that is told what happened, and can hold nothing up.

Each callback has a bounded queue of its own: where it is slow, what comes on top is dropped and
counted; what it raises is counted and logged. No request ever waits for one.
"""

import asyncio
import dataclasses
import inspect
import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from responses_mw.errors import ConfigurationError
from responses_mw.records import Observer, TurnRecord
from responses_mw.watch import is_seldom

logger = logging.getLogger("responses_mw")

METHODS = ("on_start", "on_first_delta", "on_success", "on_failure")
ENTRY_POINTS = "responses_mw.callbacks"
CAPACITY = 1000
"""How many events may wait for one callback."""
FLUSH_S = 5.0
"""How long a shutdown waits for what still waits."""
_LOOK_S = 0.01

Method = Callable[[TurnRecord], Any]


class Callbacks(Observer):
    """For any objects with some of the methods `on_start`, `on_first_delta`,
    `on_success` and `on_failure`, each taking a TurnRecord that nobody changes any more.

    Success is an answer that came to an end of its own, `incomplete` included. Sync methods run in
    a thread of their callback's, in order; a callback with async ones is called on the event loop.
    """

    def __init__(self, callbacks: Sequence[Any], *, capacity: int = CAPACITY) -> None:
        self.mailboxes = [_mailbox(callback, capacity) for callback in callbacks]

    def on_start(self, record: TurnRecord) -> None:
        self._tell("on_start", record)

    def on_first_delta(self, record: TurnRecord) -> None:
        self._tell("on_first_delta", record)

    def on_end(self, record: TurnRecord) -> None:
        ended_well = record.status in ("completed", "incomplete")
        self._tell("on_success" if ended_well else "on_failure", record)

    async def flush(self) -> None:
        """Until everything was told, or FLUSH_S have passed."""
        for _ in range(int(FLUSH_S / _LOOK_S)):
            if not any(mailbox.busy for mailbox in self.mailboxes):
                break
            await asyncio.sleep(_LOOK_S)

    def _tell(self, event: str, record: TurnRecord) -> None:
        wanting = [mailbox for mailbox in self.mailboxes if event in mailbox.methods]
        if wanting:
            told = dataclasses.replace(record, attempts=list(record.attempts))
            for mailbox in wanting:
                mailbox.put(event, told)


class Mailbox(ABC):
    """What waits for one callback. The counters only grow."""

    def __init__(self, name: str, methods: dict[str, Method], capacity: int) -> None:
        self.name = name
        self.methods = methods
        self.dropped = 0
        self.failed = 0
        self._capacity = capacity

    @property
    @abstractmethod
    def waiting(self) -> int: ...

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Something waits or is being told."""

    @abstractmethod
    def _send(self, method: Method, record: TurnRecord) -> None: ...

    def put(self, event: str, record: TurnRecord) -> None:
        if self.waiting < self._capacity:
            self._send(self.methods[event], record)
            return
        self.dropped += 1
        if is_seldom(self.dropped):
            logger.warning(
                "the callback %s is too slow: %d events dropped", self.name, self.dropped
            )

    def _note_failure(self) -> None:
        self.failed += 1
        if is_seldom(self.failed):
            logger.exception("the callback %s raised, %d times so far", self.name, self.failed)


class _InThread(Mailbox):
    """For callbacks without async methods. The thread is begun by the first event, and no exit of
    the process waits for it."""

    def __init__(self, name: str, methods: dict[str, Method], capacity: int) -> None:
        super().__init__(name, methods, capacity)
        self._queue: SimpleQueue[tuple[Method, TurnRecord]] = SimpleQueue()
        self._sent = self._told = 0
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    @property
    def busy(self) -> bool:
        return self._told < self._sent

    def _send(self, method: Method, record: TurnRecord) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()
        self._sent += 1
        self._queue.put((method, record))

    def _run(self) -> None:
        while True:
            method, record = self._queue.get()
            try:
                method(record)
            except Exception:
                # Not our code: whatever it raises, the next event is told, too.
                self._note_failure()
            self._told += 1


class _OnLoop(Mailbox):
    """For callbacks with async methods; their sync ones are called in threads."""

    def __init__(self, name: str, methods: dict[str, Method], capacity: int) -> None:
        super().__init__(name, methods, capacity)
        self._waiting: deque[tuple[Method, TurnRecord]] = deque()
        self._telling: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        task = self._telling
        return task is not None and not task.done() and not task.get_loop().is_closed()

    def _send(self, method: Method, record: TurnRecord) -> None:
        self._waiting.append((method, record))
        if not self.busy:
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while self._waiting:
            method, record = self._waiting.popleft()
            try:
                if inspect.iscoroutinefunction(method):
                    await method(record)
                else:
                    await asyncio.to_thread(method, record)
            except Exception:
                # Not our code, as above.
                self._note_failure()


def installed() -> list[Any]:
    """The callbacks that installed distributions bring (entry point group ENTRY_POINTS): objects,
    or classes of them. Raises ConfigurationError for one that cannot be loaded."""
    from importlib.metadata import entry_points  # only where plugins are asked for

    found: list[Any] = []
    for point in entry_points(group=ENTRY_POINTS):
        try:
            loaded = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"the callback plugin {point.name!r} ({point.value}) cannot be loaded: {error}; "
                "uninstall it or set Settings(plugins=False)"
            ) from error
        found.append(loaded() if isinstance(loaded, type) else loaded)
    return found


def _mailbox(callback: Any, capacity: int) -> Mailbox:
    methods = {name: getattr(callback, name) for name in METHODS if hasattr(callback, name)}
    if not methods:
        raise ConfigurationError(
            f"the callback {callback!r} has none of the methods {', '.join(METHODS)}"
        )
    is_async = any(inspect.iscoroutinefunction(method) for method in methods.values())
    name = f"{type(callback).__module__}.{type(callback).__qualname__}"
    return (_OnLoop if is_async else _InThread)(name, methods, capacity)
