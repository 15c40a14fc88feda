"""The load: keeps a number of connections busy, checks every answer, times them.

Run as a process of its own. Each line of standard input is a Job, each line of standard output its
Result, as JSON. How a connection is spoken to, over HTTP or as a WebSocket, is in connections.py.
"""

import asyncio
import dataclasses
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop

from benchmarks.connections import Connection, HTTPConnection, SocketConnection
from benchmarks.wire import CHECKS, FIRST, BrokenRun, Shape

_ID = re.compile(rb'"id":"(resp_[^"]+)"')
_LIMIT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`check` names one of wire.CHECKS. `socket`: turns go over WebSockets.

    With `chain`, each connection continues its own last answer, from `start` (None: from nothing)
    at depth `depth` for `chain` turns, and then begins again there. Connections ask their first
    question one after another in the course of `ramp_s`.
    """

    port: int
    path: str
    body: dict[str, Any]
    check: str
    shape: Shape
    requests: int
    concurrency: int
    chain: int = 0
    start: str | None = None
    depth: int = 0
    socket: bool = False
    ramp_s: float = 0

    @classmethod
    def of(cls, line: str) -> "Job":
        fields = orjson.loads(line)
        return cls(**{**fields, "shape": Shape(**fields["shape"])})


@dataclass(frozen=True, slots=True)
class Result:
    """Times in milliseconds; `silences` are the longest of each answer once it had begun. `last` is
    the id of the last answer, `error` why the run is void."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)
    last: str | None = None
    error: str | None = None


class Load:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.left = job.requests
        self.running = job.concurrency
        self.result = Result()
        self.last: str | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        connections = [Line(self) for _ in range(self.job.concurrency)]
        for line in connections:
            await loop.create_connection(line.protocol, "127.0.0.1", self.job.port)
        await asyncio.gather(*(line.connection.ready for line in connections))
        started = time.perf_counter()
        for number, line in enumerate(connections):
            loop.call_later(self.job.ramp_s * number / len(connections), line.ask)
        try:
            async with asyncio.timeout(_LIMIT_S):
                await self.done
        finally:
            for line in connections:
                line.connection.transport.close()
        seconds = time.perf_counter() - started
        return dataclasses.replace(self.result, seconds=seconds, last=self.last)

    def next(self) -> bool:
        """Whether there is something left to ask; the last connection to hear no ends the job."""
        if self.left == 0:
            self.running -= 1
            if self.running == 0 and not self.done.done():
                self.done.set_result(None)
            return False
        self.left -= 1
        return True

    def broken(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Line:
    """One connection's questions, one after another."""

    def __init__(self, load: Load) -> None:
        job = load.job
        kind = SocketConnection if job.socket else HTTPConnection
        first = FIRST[job.check].encode()
        self.connection: Connection = kind(job.port, job.path, first, self)
        self._load = load
        self._check = CHECKS[job.check]
        self._parent = job.start
        self._turns = 0

    def protocol(self) -> Connection:
        return self.connection

    def ask(self) -> None:
        if not self._load.next():
            return
        body = self._load.job.body
        if self._parent is not None:
            body = {**body, "previous_response_id": self._parent}
        self.connection.send(orjson.dumps(body))

    def broken(self, error: BrokenRun) -> None:
        self._load.broken(error)

    def answered(self, body: bytes, latency: float, first: float, silence: float) -> None:
        result = self._load.result
        try:
            self._check_history(self._check(body, self._load.job.shape))
        except BrokenRun as error:
            self.broken(error)
            return
        result.latencies.append(latency * 1000)
        result.firsts.append(first * 1000)
        result.silences.append(silence * 1000)
        self._continue(body)
        self.ask()

    def _check_history(self, texts: int) -> None:
        earlier = self._load.job.depth + self._turns
        if texts != 2 * earlier + 1:
            raise BrokenRun(
                f"{texts} texts reached the upstream whole in turn {earlier + 1} of a chain, "
                f"which has {2 * earlier + 1}"
            )

    def _continue(self, body: bytes) -> None:
        found = _ID.search(body)
        self._load.last = None if found is None else found[1].decode()
        job = self._load.job
        if not job.chain:
            return
        self._turns += 1
        self._parent = self._load.last
        if self._turns == job.chain:
            self._turns, self._parent = 0, job.start


async def serve_jobs() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            result = await Load(Job.of(line)).run()
        except (BrokenRun, OSError, TimeoutError) as error:
            result = Result(error=f"{type(error).__name__}: {error}")
        print(orjson.dumps(dataclasses.asdict(result)).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(serve_jobs())
