"""Nothing that was acknowledged is lost when the server is killed, whatever it was doing."""

import asyncio
import contextlib
from pathlib import Path

from kills import PHASES, survive
from tally import Tried
from victims import nursery

KILLS = 20


async def test_killed_servers_lose_nothing(tmp_path: Path, postgres_dsn: str, tried: Tried) -> None:
    """On both databases at the same time: most of it is waiting."""
    stores = [f"sqlite:///{tmp_path}/killed.db", postgres_dsn]
    with contextlib.ExitStack() as stack:
        born = [(stack.enter_context(nursery(store)), store) for store in stores]
        tallies = await asyncio.gather(*(survive(*each, kills=KILLS, seed=1) for each in born))
    for tally in tallies:
        assert tally.losses == []
        assert set(tally.kills) == set(PHASES)
        assert tally.kills.total() == KILLS
        assert tally.acknowledged > KILLS
        assert tally.cut > KILLS / 2
        tried("servers killed", tally.kills.total())
        tried("turns among kills", tally.acknowledged + tally.cut)
