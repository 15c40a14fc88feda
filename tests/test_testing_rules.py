"""The rules that tests/conftest.py lays on every test do hold."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from loopback import NetworkRefused

from responses_mw import testing


@pytest.mark.parametrize("address", ["192.0.2.1", "example.com", "2001:db8::1"])
def test_nothing_but_loopback_is_reached(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as one, pytest.raises(NetworkRefused, match=address):
        one.connect((address, 80))
    with socket.socket(family) as one, pytest.raises(NetworkRefused):
        one.connect_ex((address, 80))


def test_loopback_and_unix_sockets_are_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        client.connect(str(tmp_path / "socket"))


def test_the_public_names_are_these_and_all_load() -> None:
    assert testing.__all__ == [
        "CheckModel",
        "EchoProvider",
        "OutOfAnswers",
        "ScriptedProvider",
        "check_event_order",
        "openai_client",
        "play_recording",
    ]
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = testing.nothing


def test_the_plugin_brings_nothing_heavy_into_every_run_of_pytest() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import responses_mw.testing.plugin; "
        "print(*sorted(name for name in set(sys.modules) - before if '.' not in name))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == ["responses_mw"]


def test_what_was_skipped_is_said_at_the_end(tmp_path: Path) -> None:
    folder = Path(__file__).parent
    for name in ("conftest.py", "loopback.py", "cases.py", "postgres_server.py"):
        (tmp_path / name).write_text((folder / name).read_text())
    (tmp_path / "test_it.py").write_text(
        "import pytest\nfrom cases import needs_recordings\n"
        "@needs_recordings\ndef test_one(): pass\n"
        "def test_two(): pytest.skip('no database here')\n"
        "def test_three(): pytest.skip('no database here')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path)},
    )
    said = [line for line in ran.stdout.splitlines() if line.startswith("NOT TESTED")]
    assert said == [
        "NOT TESTED: no recordings: RESPONSES_MW_SHARED is unset and ../shared is not there",
        "NOT TESTED: 2 tests: no database here",
    ], ran.stdout
