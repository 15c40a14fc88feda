"""Servers that are killed: a process that has imported everything forks one in a moment.

Run as a program it reads commands and answers each with a line; `Cradle` is its other end. What is
served is what `responses-mw serve` serves, with a short lease and a model whose pace a turn names;
its wall clock can be set from outside.
"""

import asyncio
import atexit
import contextlib
import datetime
import functools
import hashlib
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from responses_mw.deltas import Delta, Stopped, TextDelta, UpstreamInfo
from responses_mw.testing.providers import text_of
from responses_mw.turn import Turn

LEASE_S = 1.5
DRAIN_S = 10.0
SAVED = "die when saved"
UNSAVED = "die unsaved"
REPOSITORY = Path(__file__).parents[2]


def asking(words: int, *, wait_s: float = 0.0, pause_s: float = 0.0, nonce: str = "") -> str:
    """A user's message that says how it wants to be answered."""
    return json.dumps({"words": words, "wait_s": wait_s, "pause_s": pause_s, "nonce": nonce})


def answer_to(said: Sequence[str]) -> str:
    """What the model answers to these texts, oldest first: it depends on every one of them."""
    told = hashlib.sha256("\x00".join(said).encode()).hexdigest()[:16]
    asked = json.loads(said[-1])
    words = [told, *(f"w{n}" for n in range(asked["words"])), asked["nonce"]]
    return " ".join(words)


class Paced:
    """Waits before its first word and pauses between the others."""

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        said = [text_of(item) for item in turn.items]
        asked = json.loads(said[-1])
        yield UpstreamInfo()
        await asyncio.sleep(asked["wait_s"])
        for n, word in enumerate(answer_to(said).split(" ")):
            yield TextDelta(word if n == 0 else f" {word}")
            if asked["pause_s"]:
                await asyncio.sleep(asked["pause_s"])
        yield Stopped()


@dataclass(frozen=True)
class Victim:
    pid: int
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/v1"


def resident_mib(victim: Victim) -> float:
    pages = int(Path(f"/proc/{victim.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def files(victim: Victim) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{victim.pid}/fd"))


def threads(victim: Victim) -> int:
    return len(os.listdir(f"/proc/{victim.pid}/task"))


class Cradle:
    """The process that forks them. Every command is answered at once: nobody waits for another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        atexit.register(self.close)

    def say(self, *command: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            print(*command, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline().strip()
        assert answer, "the servers' parent has ended"
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@functools.cache
def _cradle() -> Cradle:
    """One for all tests of a process: to import everything takes a second."""
    return Cradle()


class Nursery:
    """Servers on one store. Where no victim is named, the last is meant."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._cradle = _cradle()
        self._born: list[Victim] = []

    def start(self) -> Victim:
        pid, port = self._cradle.say("start", self._store).split()
        self._born.append(Victim(int(pid), int(port)))
        return self._born[-1]

    def kill(self, victim: Victim | None = None) -> None:
        """Returns when it has ended."""
        self._cradle.say("kill", (victim or self._born[-1]).pid)

    def ended(self, victim: Victim | None = None) -> int:
        """Waits until the server has ended by itself; its exit code, or minus the signal."""
        pid = (victim or self._born[-1]).pid
        while (code := self._cradle.say("ended", pid)) == "not yet":
            time.sleep(0.01)
        return int(code)

    def set_clock(self, seconds: float) -> None:
        """From the time that it really is; for all servers at once."""
        self._cradle.say("clock", seconds)

    def close(self) -> None:
        for victim in self._born:
            self.kill(victim)
        self.set_clock(0)


@contextlib.contextmanager
def nursery(store: str) -> Iterator[Nursery]:
    it = Nursery(store)
    try:
        yield it
    finally:
        it.close()


def main() -> None:
    # Whatever a server imports, it has imported before it is born.
    import uvicorn
    import uvloop  # noqa: F401
    from uvicorn.protocols.http import httptools_impl  # noqa: F401
    from uvicorn.protocols.websockets import websockets_sansio_impl  # noqa: F401

    from responses_mw.cli.standalone import Standalone  # noqa: F401
    from stores import PostgresStore, SQLiteStore  # noqa: F401

    assert uvicorn
    clock = Clock()
    clock.install()
    living: set[int] = set()
    for line in sys.stdin:
        match line.split():
            case ["start", store]:
                living.add(_fork(store))
            case ["clock", seconds]:
                clock.set(float(seconds))
                print("set", flush=True)
            case ["kill", pid]:
                if int(pid) in living:
                    os.kill(int(pid), signal.SIGKILL)
                    os.waitpid(int(pid), 0)
                    living.discard(int(pid))
                print("killed", flush=True)
            case ["ended", pid]:
                child, status = os.waitpid(int(pid), os.WNOHANG)
                living.discard(child)
                print(os.waitstatus_to_exitcode(status) if child else "not yet", flush=True)
    for child in living:
        os.kill(child, signal.SIGKILL)


def _fork(store: str) -> int:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _serve(store, listener)
                code = 0
            finally:
                os._exit(code)
        print(child, listener.getsockname()[1], flush=True)
    return child


def _serve(store: str, listener: socket.socket) -> None:
    import uvicorn

    from responses_mw.app import ResponsesApp
    from responses_mw.cli.standalone import Standalone
    from responses_mw.settings import Settings
    from stores import open_store

    settings = Settings(lease_s=LEASE_S, drain_s=DRAIN_S)
    mortal = _mortal(open_store(store))
    app = ResponsesApp(store=mortal, models={"paced": Paced()}, settings=settings)
    served: Any = _watched(Standalone(app, key=None))
    config = uvicorn.Config(
        served, log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    uvicorn.Server(config).run([listener])


def _mortal(store: Any) -> Any:
    """Its `finish` kills the process where the output says so: before or after the end is kept."""
    finish = store.finish

    async def finish_and_die(id: str, outcome: Any, **who: Any) -> bool:
        said = text_of(outcome.output[0]) if outcome.output else ""
        if said.endswith(UNSAVED):
            os.kill(os.getpid(), signal.SIGKILL)
        kept: bool = await finish(id, outcome, **who)
        if said.endswith(SAVED):
            os.kill(os.getpid(), signal.SIGKILL)
        return kept

    store.finish = finish_and_die
    return store


def _watched(app: Any) -> Any:
    """`/tasks` says how many tasks there are; all else is the server's."""

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != "/tasks":
            await app(scope, receive, send)
            return
        body = str(len(asyncio.all_tasks())).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return watched


class Clock:
    """The time of day of all servers of a nursery, which can be set: they share its memory."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def offset(self) -> float:
        return float(struct.unpack_from("d", self._memory)[0])

    def set(self, seconds: float) -> None:
        struct.pack_into("d", self._memory, 0, seconds)

    def install(self) -> None:
        """Whatever of ours asks for the time is told this one from now on, in this process."""
        clock, real, real_time = self, datetime.datetime, time.time

        class Told(real):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> Any:
                return real.now(tz) + datetime.timedelta(seconds=clock.offset)

        for name, module in list(sys.modules.items()):
            ours = name.partition(".")[0] in ("responses_mw", "stores")
            if ours and getattr(module, "datetime", None) is real:
                module.datetime = Told  # type: ignore[attr-defined]
        time.time = lambda: real_time() + clock.offset


if __name__ == "__main__":
    main()
