"""Clocks that jump: nothing ends that runs, what a dead server left ends nonetheless, and no order
comes from the time of day."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from kills import stranded, talking, text_of
from victims import answer_to, asking, nursery

HOUR = 3600
SLOW = asking(75, pause_s=0.03)
JUMPS = (HOUR, 2 * HOUR, -HOUR, 0)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/clock.db"
    return str(request.getfixturevalue("postgres_dsn"))


async def ask(http: httpx.AsyncClient, text: str, **more: Any) -> Any:
    answer = await http.post("/responses", json={"model": "paced", "input": text, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_clock_that_jumps_ends_nothing_that_runs_and_changes_no_order(
    url: str,
) -> None:
    """Two servers of one machine; each jump is far more than a lease."""
    with nursery(url) as born:
        one, two = talking(born.start()), talking(born.start())
        async with one, two:
            line = (await two.post("/conversations", json={})).json()["id"]
            running = [
                asyncio.create_task(ask(http, SLOW, **more))
                for http, more in ((one, {}), (two, {}), (one, {"conversation": line}))
            ]
            last, said, made = None, [], []
            for n, jump in enumerate(JUMPS):
                await asyncio.sleep(0.6)
                await asyncio.to_thread(born.set_clock, jump)
                text = asking(1, nonce=f"n{n}")
                response = await ask((one, two)[n % 2], text, previous_response_id=last)
                assert text_of(response) == answer_to([*said, text])
                last, said = response["id"], [*said, text, text_of(response)]
                made.append(response["created_at"])
            ended = [await each for each in running]
            kept = [(await two.get(f"/responses/{each['id']}")).json() for each in ended]
            text = asking(1)
            follows = await ask(one, text, conversation=line)
    assert [round((at - made[-1]) / HOUR) for at in made] == [1, 2, -1, 0]
    assert [text_of(each) for each in ended] == [answer_to([SLOW])] * 3
    assert kept == ended
    assert text_of(follows) == answer_to([SLOW, text_of(ended[2]), text])
    assert await stranded(url) == []


async def test_what_a_dead_server_left_ends_after_a_jump_over_its_lease(tmp_path: Path) -> None:
    with nursery(f"sqlite:///{tmp_path}/left.db") as born:
        dies, lives = born.start(), born.start()
        async with talking(dies) as one, talking(lives) as two:
            id = (await ask(one, SLOW, background=True))["id"]
            await asyncio.sleep(1.2)  # something was kept by then
            born.kill(dies)
            born.set_clock(HOUR)
            async with asyncio.timeout(10):
                while (it := (await two.get(f"/responses/{id}")).json())["status"] != "failed":
                    await asyncio.sleep(0.05)
    assert text_of(it)
    assert answer_to([SLOW]).startswith(text_of(it))
