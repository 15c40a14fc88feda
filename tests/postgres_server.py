"""A real Postgres server for the tests, started when the first one asks for it.

In order: the server that `RESPONSES_MW_TEST_POSTGRES` names, the system's binaries, those in the
`pgserver` wheel. Where none of them is there the tests are skipped, in CI they fail.
"""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

VARIABLE = "RESPONSES_MW_TEST_POSTGRES"
UNAVAILABLE = (
    f"no Postgres: set {VARIABLE} to a server's URL, install its binaries or the wheel pgserver"
)
SETTINGS = {
    "listen_addresses": "",  # reached through a socket in a directory of its own
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "off",  # nothing here outlives the test run
    "full_page_writes": "off",
}
ROOM = 2 << 30


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server on which databases may be made."""
    if url := os.environ.get(VARIABLE):
        yield url
        return
    binaries = find_binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail(UNAVAILABLE)
        pytest.skip(UNAVAILABLE)
    home = Path(tempfile.mkdtemp(prefix="rmw-pg-", dir=_fast_directory()))
    try:
        server = start(binaries, home)
        try:
            yield f"postgresql://postgres@/postgres?host={home}"
        finally:
            stop(server)
    finally:
        shutil.rmtree(home)


@pytest.fixture
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """The URL of a database of its own, empty; it is dropped after the test."""
    with new_database(postgres_server) as url:
        yield url


@contextmanager
def new_database(server: str, *, template: str = "template1") -> Iterator[str]:
    """The URL of a copy of the database `template`, dropped at the end."""
    name = f"rmw_{uuid.uuid4().hex}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str, *arguments: Any) -> list[Any]:
    """Runs one statement from code that is not async, whatever event loops there are."""
    import asyncpg

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    results: list[list[Any]] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(run())))
    thread.start()
    thread.join()
    return results[0]


def find_binaries() -> Path | None:
    """The directory with `initdb` and `postgres`."""
    places = [
        Path(shutil.which("initdb") or "/nowhere").resolve().parent,
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
    ]
    if (wheel := _wheel()) is not None:
        places.append(wheel)
    return next((place for place in places if (place / "postgres").exists()), None)


def start(binaries: Path, home: Path) -> subprocess.Popen[bytes]:
    """Makes a cluster in `home` and waits until it takes connections there."""
    user = _unprivileged() if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(home, user)
        if binaries == _wheel():
            binaries = _copied(binaries, home / "install")
    as_user: dict[str, Any] = {} if user is None else {"user": user, "extra_groups": []}
    data = home / "data"
    initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust"]
    locale = ["-E", "UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run([*initdb, *locale], cwd=home, capture_output=True, check=False, **as_user)
    if made.returncode != 0:
        pytest.fail(f"initdb failed: {made.stderr.decode()}")
    options = [text for name, value in SETTINGS.items() for text in ("-c", f"{name}={value}")]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", home, *options],
            cwd=home,
            stderr=log,
            stdout=log,
            **as_user,
        )
    _wait_until_ready(server, home)
    return server


def stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # "fast": open connections are cut
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait(10)


def _wait_until_ready(server: subprocess.Popen[bytes], home: Path) -> None:
    status = home / "data" / "postmaster.pid"
    for _ in range(1500):
        if status.exists() and "ready" in status.read_text():
            return
        if server.poll() is not None:
            pytest.fail(f"postgres stopped: {(home / 'log').read_text()}")
        time.sleep(0.02)
    stop(server)
    pytest.fail(f"postgres was not ready after 30 s: {(home / 'log').read_text()}")


def _wheel() -> Path | None:
    """Found without importing it: pgserver makes a runtime directory then, and warns about it."""
    package = importlib.util.find_spec("pgserver")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "pginstall" / "bin"


def _copied(binaries: Path, to: Path) -> Path:
    """The wheel may lie in root's home directory, where the server's user cannot read it."""
    site = binaries.parents[2]
    for part in (binaries.parent.relative_to(site), Path("pgserver.libs")):
        if (site / part).exists():
            shutil.copytree(site / part, to / part)
    return to / binaries.relative_to(site)


def _unprivileged() -> str:
    """Postgres refuses to run as root."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return pytest.skip("Postgres does not run as root, and there is no user postgres or nobody")


def _fast_directory() -> str | None:
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
        return str(memory)
    return None
