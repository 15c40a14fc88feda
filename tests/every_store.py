"""The fixture `store`: each test that asks for it runs on all three stores."""

from pathlib import Path

import pytest

from stores import SessionStore, open_store


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{tmp_path}/responses.db"
        case _:
            return str(request.getfixturevalue("postgres_dsn"))


@pytest.fixture
def store(store_url: str) -> SessionStore:
    """Not yet open: the application opens and closes it."""
    return open_store(store_url)
