"""Nothing that was acknowledged is lost when the server is killed, whatever it was doing."""

from pathlib import Path

import pytest
from kills import PHASES, survive
from victims import nursery

KILLS = 20


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_killed_servers_lose_nothing(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = f"sqlite:///{tmp_path}/killed.db"
    if database == "postgres":
        store = request.getfixturevalue("postgres_dsn")
    with nursery(store, tmp_path / "log") as born:
        tally = await survive(born, store, kills=KILLS, seed=1)
    assert tally.losses == []
    assert set(tally.kills) == set(PHASES)
    assert tally.kills.total() == KILLS
    assert tally.acknowledged > KILLS
    assert tally.cut > KILLS / 2
    print(tally)
