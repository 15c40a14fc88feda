"""What is put by: worked through in order, soon, all of it, and at once where nobody could wait."""

import asyncio
import gc
import threading

import pytest

from responses_mw.batch import DELAY_S, MOST, Batch, drain_all


class Worked(list[list[int]]):
    @property
    def all(self) -> list[int]:
        return [each for row in self for each in row]


@pytest.fixture
def worked() -> Worked:
    return Worked()


def test_without_an_event_loop_nothing_waits(worked: Worked) -> None:
    batch = Batch(worked.append)
    batch.add(1)
    batch.add(2)

    assert worked == [[1], [2]]


async def test_a_row_is_worked_through_when_it_is_full_asked_for_or_old(worked: Worked) -> None:
    batch = Batch(worked.append)
    for n in range(MOST + 3):
        batch.add(n)
    full = list(worked)
    batch.drain()
    batch.drain()
    asked = list(worked)
    batch.add(-1)
    waiting = list(worked)
    async with asyncio.timeout(10 * DELAY_S):
        while len(worked) == len(waiting):
            await asyncio.sleep(0.01)

    assert full == [list(range(MOST))]
    assert asked == waiting == [*full, [MOST, MOST + 1, MOST + 2]]
    assert worked.all == [*range(MOST + 3), -1]


def test_what_a_loop_left_behind_goes_with_the_next_one(worked: Worked) -> None:
    batch = Batch(worked.append)

    async def add(n: int, *, wait: bool) -> None:
        batch.add(n)
        if wait:
            await asyncio.sleep(2 * DELAY_S)

    asyncio.run(add(1, wait=False))
    asyncio.run(add(2, wait=True))

    assert worked == [[1, 2]]


def test_loops_in_several_threads_lose_nothing(worked: Worked) -> None:
    batch = Batch(worked.append)

    async def add(first: int) -> None:
        for n in range(first, first + 1000):
            batch.add(n)
            if n % 50 == 0:
                await asyncio.sleep(0)

    threads = [
        threading.Thread(target=lambda first=first: asyncio.run(add(first)))
        for first in range(0, 4000, 1000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batch.drain()

    assert sorted(worked.all) == list(range(4000))


def test_a_loop_that_stands_still_holds_up_nobody(worked: Worked) -> None:
    batch = Batch(worked.append)

    async def add(n: int, *, wait: bool) -> None:
        batch.add(n)
        if wait:
            await asyncio.sleep(2 * DELAY_S)

    standing = asyncio.new_event_loop()
    standing.run_until_complete(add(1, wait=False))
    asyncio.run(add(2, wait=True))
    standing.close()

    assert worked == [[1, 2]]


async def test_all_that_is_put_by_anywhere_is_worked_through_at_once(worked: Worked) -> None:
    one, other, gone = Batch(worked.append), Batch(worked.append), Batch(worked.append)
    one.add(1)
    other.add(2)
    del gone
    gc.collect()
    drain_all()

    assert sorted(worked) == [[1], [2]]
