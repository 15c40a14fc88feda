"""An event loop in a thread of its own, for calls from threads and loops that are somebody else's.

Everything about crossing from one thread to another is here; nothing about what is called.
"""

import asyncio
import contextlib
import functools
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Started by the first call. `closing` is awaited in the loop before it ends, at `close` or at
    the end of the process, whichever is first. After a fork, the child's first call starts another.

    The thread is a daemon, so that the process waits for `closing` and not for whoever forgot
    `close`; other threads that still run at the end can call until then.
    """

    def __init__(self, closing: Callable[[], Awaitable[None]], *, name: str) -> None:
        self._closing = closing
        self._name = name
        self._forget()
        os.register_at_fork(after_in_child=functools.partial(_forget, weakref.ref(self)))

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Blocks until it is done, whatever loop runs in this thread; what interrupts the wait
        cancels the work. Raises RuntimeError in the loop's own thread, which would wait for
        itself."""
        running = self._started()
        if threading.get_ident() == running.thread.ident:
            work.close()
            raise RuntimeError("this would wait for itself: in here, await the form that begins a-")
        future = asyncio.run_coroutine_threadsafe(work, running.loop)
        try:
            return future.result()
        finally:
            future.cancel()  # does nothing to what is done

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """From any event loop. Cancelling this cancels the work."""
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(work, self._started().loop)
        )

    def soon(self, callback: Callable[[], None]) -> None:
        """From anywhere, a finalizer too; nothing happens once the loop has ended."""
        running = self._running
        if running is not None:
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                running.loop.call_soon_threadsafe(callback)

    def close(self) -> None:
        """The next call starts another thread."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.end()

    def _started(self) -> "_Running":
        with self._lock:
            if self._running is None:
                self._running = _Running(self._closing, name=self._name)
                _at_the_end(weakref.WeakMethod(self.close))
            return self._running


def _forget(thread: "weakref.ref[LoopThread]") -> None:
    """A fork leaves the other threads behind, and locks as they were."""
    if (left := thread()) is not None:
        left._forget()


def _at_the_end(close: "weakref.WeakMethod[Callable[[], None]]") -> None:
    """Calls it before the process ends. `atexit` would be too late: by then no executor takes work,
    and closing needs some (a store's threads, the resolver of names)."""

    def closing() -> None:
        if (found := close()) is not None:
            found()

    # Private, and since 3.9 how `concurrent.futures` ends, too: last registered, first called.
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with contextlib.suppress(RuntimeError):  # the end has begun: the thread ends with it
            register(closing)


class _Running:
    """A thread whose loop runs already."""

    def __init__(self, closing: Callable[[], Awaitable[None]], *, name: str) -> None:
        self._closing = closing
        begun = threading.Event()
        self.thread = threading.Thread(target=self._main, args=(begun,), name=name, daemon=True)
        self.thread.start()
        begun.wait()

    def _main(self, begun: threading.Event) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            self.loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="responses-mw"))
            self._stop = asyncio.Event()
            begun.set()
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        await self._stop.wait()
        await self._closing()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self.thread.join()
