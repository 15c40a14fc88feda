"""Rules every test lives under: one event loop library, no network, no skipping in silence."""

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from cases import SHARED, WITHOUT_RECORDINGS
from postgres_server import postgres_dsn, postgres_server

__all__ = ["postgres_dsn", "postgres_server"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


class NetworkRefused(RuntimeError):
    """Not an OSError: code that copes with broken connections must not cope with this one."""


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """No test can reach a provider: connecting anywhere but to this machine raises."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise NetworkRefused(f"a test tried to reach {address[0]}; tests may only use loopback")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
