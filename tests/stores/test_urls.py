"""Store URLs, and what `stores` gives to those who import it."""

import subprocess
import sys
from pathlib import Path

import pytest

import stores
from stores import MemoryStore, SQLiteStore, open_store


def test_memory_is_a_memory_store() -> None:
    assert isinstance(open_store("memory://"), MemoryStore)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///sessions.db", Path.cwd() / "sessions.db"),
        ("sqlite:///folder/sessions.db", Path.cwd() / "folder" / "sessions.db"),
        ("sqlite:////var/lib/sessions.db", Path("/var/lib/sessions.db")),
        ("sqlite:////var/lib/s.db?synchronous=full", Path("/var/lib/s.db")),
    ],
)
def test_sqlite_urls_name_relative_and_absolute_files(url: str, path: Path) -> None:
    store = open_store(url)

    assert isinstance(store, SQLiteStore)
    assert store.path == path


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://s.db"])
def test_sqlite_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"memory://|sqlite:///relative\.db"):
        open_store(url)


@pytest.mark.parametrize(
    ("url", "named"),
    [("sqlite:///s.db?cache=shared", "cache"), ("sqlite:///s.db?synchronous=OFF", "OFF")],
)
def test_unknown_options_are_refused_by_name(url: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        open_store(url)


@pytest.mark.parametrize("url", ["redis://:hunter2@host", "sessions.db", "", "SQLITE:///s.db"])
def test_an_unknown_url_is_answered_with_the_known_ones_and_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"memory://.*sqlite:///.*postgresql://") as refused:
        open_store(url)

    assert "hunter2" not in str(refused.value)


def test_everything_promised_is_there() -> None:
    for name in stores.__all__:
        assert getattr(stores, name) is not None
    with pytest.raises(AttributeError, match="RedisStore"):
        _ = stores.RedisStore


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def test_importing_stores_is_cheap() -> None:
    heavy = "{'sqlalchemy', 'sqlmodel', 'alembic', 'pydantic', 'asyncpg', 'pytest', 'responses_mw'}"

    done = run(f"import stores, sys; print(sorted({heavy} & set(sys.modules)))")

    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize("asked", ["stores.PostgresStore", "stores.open_store('postgresql://h/d')"])
def test_without_asyncpg_postgres_names_the_extra_and_the_rest_works(asked: str) -> None:
    done = run(
        "import sys; sys.modules['asyncpg'] = None\n"
        "import stores; stores.SQLiteStore('s.db'); stores.MemoryStore()\n"
        f"try: {asked}\n"
        "except ImportError as error: print(error)"
    )

    assert "responses-mw[postgres]" in done.stdout, done.stderr
