"""The processes of a run: started on a free port, measured from /proc, ended by their own id."""

import contextlib
import os
import re
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from benchmarks.client import Job, Result
from benchmarks.wire import BrokenRun

ROOT = Path(__file__).resolve().parent.parent
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)\D")
_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    port: int
    ready_s: float

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Seconds so far, of all threads and children."""
        return sum(_cpu_of(_stat(_PROC / str(pid))) for pid in _family(self.pid))

    def threads(self) -> dict[int, float]:
        """The same of each thread of the process itself, by its id."""
        tasks = _PROC / str(self.pid) / "task"
        return {int(task.name): _cpu_of(_stat(task)) for task in tasks.iterdir()}

    def rss(self) -> int:
        """Bytes."""
        return sum(_rss_of(_stat(_PROC / str(pid))) for pid in _family(self.pid))


class Client:
    """The load generator, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, job: Job) -> Result:
        """Raises BrokenRun unless every answer was right."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps(asdict(job)).decode() + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BrokenRun("the load client ended")
        result = Result(**orjson.loads(line))
        if result.error is not None:
            raise BrokenRun(result.error)
        return result


@contextlib.contextmanager
def client() -> Iterator[Client]:
    command = [sys.executable, "-m", "benchmarks.client"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Client(process)
    finally:
        process.terminate()
        process.communicate()


@contextlib.contextmanager
def server(
    command: Sequence[str | Path],
    *,
    tree: Path = ROOT,
    end: signal.Signals = signal.SIGTERM,
    port: int | None = None,
) -> Iterator[Server]:
    """Something that prints its address once it is about to listen, or was told its `port`. `tree`
    is the checkout whose code it runs."""
    with tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=tree,
            env=environment(tree),
            stdout=subprocess.PIPE if port is None else errors,
            stderr=errors,
        )
        try:
            port = port or _port(process)
            _wait_for(port)
            yield Server(process.pid, port, time.perf_counter() - started)
        except BrokenRun as error:
            errors.seek(0)
            if said := errors.read()[-4000:]:
                error.add_note(f"{shlex.join(map(str, command))} said:\n{said}")
            raise
        finally:
            _end(process, end)


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def environment(tree: Path = ROOT) -> dict[str, str]:
    """Where `tree` comes before what is installed, bytecode is cached as usual, and nobody counts
    which lines are run."""
    ours = ("RESPONSES_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(tree)}


def _port(process: "subprocess.Popen[bytes]") -> int:
    assert process.stdout is not None
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        deadline = time.monotonic() + 30
        while selector.select(deadline - time.monotonic()):
            # Not by lines: what a buffered reader holds back, a selector does not see.
            more = os.read(process.stdout.fileno(), 4096)
            said += more
            if found := _ADDRESS.search(said):
                return int(found[1])
            if not more:
                break
    raise BrokenRun(f"{process.args!r} said no address")


def _wait_for(port: int) -> None:
    for _ in range(6000):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise BrokenRun(f"port {port} takes no connections")


def _end(process: "subprocess.Popen[bytes]", end: signal.Signals) -> None:
    process.send_signal(end)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


# --- /proc


def _family(pid: int) -> list[int]:
    """The process and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(entry)):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


def _cpu_of(fields: list[str]) -> float:
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _rss_of(fields: list[str]) -> int:
    return int(fields[21]) * _PAGE if fields else 0


def _stat(entry: Path) -> list[str]:
    """The fields from the state on: the name before it may hold anything. Empty if it has gone."""
    try:
        line = (entry / "stat").read_text()
    except OSError:
        return []
    return line.rpartition(")")[2].split()
