"""Many clients of two owners branch, go on, delete, cancel and resume at once: no history is torn,
and no owner meets the other."""

import asyncio
import contextlib
import random

from every_store import store, store_url
from house import OWNERS, House

from stores import SessionStore

__all__ = ["store", "store_url"]

CLIENTS = 64


async def test_sixty_four_clients_do_everything_at_once_to_two_chains(store: SessionStore) -> None:
    async with contextlib.aclosing(House(store)) as house:
        await house.open()
        trunks = {owner: await grown(house, owner) for owner in OWNERS}
        lines = {owner: await house.begin(owner) for owner in OWNERS}

        async def cut_down() -> None:
            while len(house.known) < CLIENTS:  # however slow the machine is
                await asyncio.sleep(0.01)
            for owner, trunk in trunks.items():
                await house.delete(trunk, owner)

        await asyncio.gather(
            *(climb(house, trunks, n) for n in range(CLIENTS)),
            *(house.talk_at_once(line, 4) for line in lines.values()),
            cut_down(),
        )
        living = [it for it in house.known.values() if not it.gone]
        assert len(living) > CLIENTS // 2
        await house.check_all()


async def grown(house: House, owner: str) -> str:
    root = await house.ask(owner, None, stream=False)
    trunk = await house.ask(owner, root, stream=True)
    assert trunk is not None
    return trunk


async def climb(house: House, trunks: dict[str, str], n: int) -> None:
    """One client's three turns; each thing it may do, and what it may not."""
    owner, other = OWNERS[n % 2], OWNERS[1 - n % 2]
    first = await house.ask(owner, trunks[owner], stream=n % 3 == 0, deleted_meanwhile=True)
    if first is None:
        return
    second = await house.cancel(owner, first, after_s=random.uniform(0, 0.02))
    assert second is not None
    await asyncio.gather(
        house.resume(second, owner, random.randint(-1, 5)),
        house.resume(first, other, -1),
        house.delete(second, other),
        house.ask(other, first, stream=False),
    )
    third, _ = await asyncio.gather(
        house.ask(owner, second, stream=True), house.delete(first, owner)
    )
    assert third is not None
    await house.resume(third, owner, 2)
