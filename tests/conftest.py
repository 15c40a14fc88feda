"""Rules every test lives under: one event loop library, no network, no skipping in silence."""

import socket
import sys
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from cases import SHARED, WITHOUT_RECORDINGS
from loopback import guarded
from postgres_server import postgres_dsn, postgres_server

__all__ = ["postgres_dsn", "postgres_server"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """No test can reach a provider: connecting anywhere but to this machine raises."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Coverage does not watch what is marked `untraced`: it would take longer than the test."""
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    measures = type(tracer).__module__.startswith("coverage")  # a debugger is left alone
    if not measures or item.get_closest_marker("untraced") is None:
        return (yield)
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        threading.settrace(of_threads)
        sys.settrace(tracer)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for every kind of thing that was skipped because this machine lacks it."""
    if SHARED is None:
        terminalreporter.write_line(f"NOT TESTED: {WITHOUT_RECORDINGS}", yellow=True)
    reasons: dict[str, int] = {}
    for report in terminalreporter.getreports("skipped"):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason != WITHOUT_RECORDINGS:
            reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"NOT TESTED: {count} tests: {reason}", yellow=True)
