"""The load: keeps a number of connections busy, checks every answer, times them.

Run as a process of its own. Each line of standard input is a Job, each line of standard output its
Result, as JSON.
"""

import asyncio
import dataclasses
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import uvloop

from benchmarks.wire import CHECKS, BrokenRun

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ID = re.compile(rb'"id":"(resp_[^"]+)"')
_CHUNKED_END = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`check` names one of wire.CHECKS; `first` is what the first delta is known by.

    With `chain`, each connection continues its own last answer, from `start` (None: from nothing)
    at depth `depth` for `chain` turns, and then begins again there.
    """

    port: int
    path: str
    body: dict[str, Any]
    check: str
    deltas: int
    first: str
    requests: int
    concurrency: int
    chain: int = 0
    start: str | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """Times in milliseconds. `last` is the id of the last answer, `error` why the run is void."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    last: str | None = None
    error: str | None = None


class Load:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.check = CHECKS[job.check]
        self.first = job.first.encode()
        self.left = job.requests
        self.running = job.concurrency
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.last: str | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.head = (
            f"POST {job.path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        connections = [
            (await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.job.port))[1]
            for _ in range(self.job.concurrency)
        ]
        started = time.perf_counter()
        for connection in connections:
            connection.ask()
        try:
            async with asyncio.timeout(300):
                await self.done
        finally:
            for connection in connections:
                connection.transport.close()
        seconds = time.perf_counter() - started
        return Result(seconds, self.latencies, self.firsts, self.last)

    def broken(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = bytearray()
        self._body_at = 0
        self._end: int | None = None
        self._first: float | None = None
        self._parent = load.job.start
        self._turns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.broken(BrokenRun(f"the server closed a connection: {exc}"))

    def ask(self) -> None:
        load = self._load
        if load.left == 0:
            load.running -= 1
            if load.running == 0 and not load.done.done():
                load.done.set_result(None)
            return
        load.left -= 1
        body = load.job.body
        if self._parent is not None:
            body = {**body, "previous_response_id": self._parent}
        content = orjson.dumps(body)
        self._asked = time.perf_counter()
        self.transport.write(b"%b%d\r\n\r\n%b" % (load.head, len(content), content))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        buffer = self._buffer
        buffer += data
        if self._first is None and buffer.find(self._load.first) >= 0:
            self._first = now
        if not self._body_at and not self._read_head():
            return
        if self._end is None:
            if buffer.endswith(_CHUNKED_END):
                self._answered(_dechunked(buffer, self._body_at), now)
        elif len(buffer) >= self._end:
            self._answered(bytes(buffer[self._body_at :]), now)

    def _read_head(self) -> bool:
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            return False
        self._body_at = at + 4
        length = _LENGTH.search(self._buffer, 0, at + 2)
        self._end = None if length is None else self._body_at + int(length[1])
        return True

    def _answered(self, body: bytes, now: float) -> None:
        load = self._load
        try:
            if not self._buffer.startswith(b"HTTP/1.1 200 "):
                raise BrokenRun(bytes(self._buffer[:2000]).decode("utf-8", "replace"))
            self._check_history(load.check(body, load.job.deltas))
        except BrokenRun as error:
            load.broken(error)
            return
        load.latencies.append((now - self._asked) * 1000)
        load.firsts.append(((self._first or now) - self._asked) * 1000)
        self._continue(body)
        self._buffer.clear()
        self._body_at, self._first = 0, None
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
        if not self._load.job.chain:
            return
        self._turns += 1
        self._parent = self._load.last
        if self._turns == self._load.job.chain:
            self._turns, self._parent = 0, self._load.job.start


def _dechunked(buffer: bytearray, at: int) -> bytes:
    pieces: list[bytes] = []
    while True:
        line = buffer.index(b"\r\n", at)
        size = int(buffer[at:line], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(bytes(buffer[line + 2 : line + 2 + size]))
        at = line + 4 + size


async def serve_jobs() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        job = Job(**orjson.loads(line))
        try:
            result = await Load(job).run()
        except (BrokenRun, OSError, TimeoutError) as error:
            result = Result(error=f"{type(error).__name__}: {error}")
        print(orjson.dumps(dataclasses.asdict(result)).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(serve_jobs())
