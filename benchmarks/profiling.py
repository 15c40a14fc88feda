"""Where the server's CPU goes while one case runs: py-spy if it is installed, else cProfile.

py-spy counts who holds the interpreter's lock: waiting threads hold none, but nor does a database
at work. What that takes shows in the CPU of its thread.
"""

import pstats
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.client import Job
from benchmarks.processes import Client, Server

SECONDS = 8
_SHOWN = 45


def py_spy() -> str | None:
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def sample(spy: str, server: Server, client: Client, job: Job) -> str:
    """Runs the job meanwhile, which should take a little longer than SECONDS."""
    with tempfile.NamedTemporaryFile(suffix=".raw") as out:
        command = [spy, "record", "--gil", "-p", str(server.pid), "-d", str(SECONDS), "-r", "500"]
        options = ["-f", "raw", "-o", out.name]
        spying = subprocess.Popen(
            [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = server.threads()
        client.run(job)
        after = server.threads()
        spying.wait()
        used = sorted(((after[id] - before.get(id, 0), id) for id in after), reverse=True)
        threads = [
            f"{seconds / job.requests * 1e6:7.0f} us a request: "
            + ("the event loop's thread" if id == server.pid else f"thread {id}")
            for seconds, id in used
            if seconds
        ]
        return "\n".join([*threads, _counted(Path(out.name).read_text())])


def _counted(stacks: str) -> str:
    """Of lines `frame;frame;... samples`: the functions by their own samples, and with callees."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    samples = sum(own.values()) or 1
    lines = [f"{samples} samples", f"{'own %':>7} {'all %':>7}  function"]
    shown = {frame for frame, _ in own.most_common(_SHOWN)}
    shown |= {frame for frame, _ in total.most_common(_SHOWN)}
    for frame in sorted(shown, key=lambda frame: -total[frame]):
        own_part, all_part = 100 * own[frame] / samples, 100 * total[frame] / samples
        lines.append(f"{own_part:7.1f} {all_part:7.1f}  {frame}")
    return "\n".join(lines)


def of_profile(path: Path) -> str:
    """What cProfile wrote when the server ended."""
    with tempfile.TemporaryFile("w+") as out:
        stats = pstats.Stats(str(path), stream=out)
        stats.sort_stats("tottime").print_stats(_SHOWN)
        out.seek(0)
        return out.read()
