"""Several servers over one database: any of them goes on with what another answered, and what they
do at the same time to one chain neither tears it nor lets two owners of a lease write."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kills import stranded, talking, text_of
from victims import answer_to, asking, nursery

PROCESSES = {"sqlite": 2, "postgres": 4}
WALKERS = 8
STEPS = 3
TRUNK = 2
SLOW = asking(300, pause_s=0.02)

Servers = list[httpx.AsyncClient]


@pytest.fixture(params=PROCESSES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    return str(request.getfixturevalue("postgres_dsn"))


@pytest.fixture
async def servers(url: str) -> AsyncIterator[Servers]:
    with nursery(url) as born:
        count = PROCESSES["sqlite" if url.startswith("sqlite:") else "postgres"]
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(talking(born.start())) for _ in range(count)]


async def ask(
    server: httpx.AsyncClient, said: list[str], after: str | None, **more: Any
) -> tuple[Any, list[str]]:
    """The response, and the chain up to its end."""
    text = asking(2, nonce=f"n{random.random()}")
    body = {"model": "paced", "input": text, "previous_response_id": after, **more}
    answer = await server.post("/responses", json=body)
    assert answer.status_code == 200, answer.text
    response = answer.json()
    assert text_of(response) == answer_to([*said, text])
    return response, [*said, text, text_of(response)]


async def test_chains_walk_through_all_servers_while_they_branch_and_are_deleted(
    servers: Servers, url: str
) -> None:
    root, said = None, []
    for _ in range(TRUNK):
        response, said = await ask(random.choice(servers), said, root)
        root = response["id"]

    async def walk(n: int) -> tuple[Any, list[str], list[str]]:
        last, chain, deleted = {"id": root}, said, []
        for step in range(STEPS):
            before = last["id"]
            last, chain = await ask(servers[(n + step) % len(servers)], chain, before)
            if step and n % 2:
                answer = await random.choice(servers).delete(f"/responses/{before}")
                assert answer.status_code == 200
                deleted.append(before)
        return last, chain, deleted

    ends = await asyncio.gather(*(walk(n) for n in range(WALKERS)))
    assert (await servers[0].delete(f"/responses/{root}")).status_code == 200
    for last, chain, deleted in ends:
        for server in servers:
            assert (await server.get(f"/responses/{last['id']}")).json() == last
            for id in deleted:
                assert (await server.get(f"/responses/{id}")).status_code == 404
        await ask(random.choice(servers), chain, last["id"])
    assert await stranded(url) == []


async def test_turns_of_a_conversation_follow_each_other_through_all_servers(
    servers: Servers,
) -> None:
    line = (await servers[0].post("/conversations", json={})).json()["id"]
    texts = [asking(1, nonce=f"n{n}") for n in range(3 * len(servers))]
    answers = await asyncio.gather(
        *(
            server.post("/responses", json={"model": "paced", "input": text, "conversation": line})
            for text, server in zip(texts, servers * 3, strict=True)
        )
    )
    told = {text_of(answer.json()): text for answer, text in zip(answers, texts, strict=True)}
    said: list[str] = []
    while told:
        (next_one,) = [each for each in told if each == answer_to([*said, told[each]])]
        said += [told.pop(next_one), next_one]


async def test_whoever_is_asked_ends_what_another_generates(servers: Servers, url: str) -> None:
    """Cancelled and deleted from everywhere at once."""
    first, *others = servers
    body = {"model": "paced", "input": SLOW, "background": True}
    ids = [(await first.post("/responses", json=body)).json()["id"] for _ in range(2)]
    await asyncio.sleep(0.3)
    cancels = await asyncio.gather(
        *(server.post(f"/responses/{ids[0]}/cancel") for server in servers)
    )
    deletes = await asyncio.gather(*(server.delete(f"/responses/{ids[1]}") for server in servers))
    assert [answer.json() for answer in cancels] == [cancels[0].json()] * len(servers)
    assert cancels[0].json()["status"] == "cancelled"
    assert sorted(answer.status_code for answer in deletes) == [200] + [404] * len(others)
    await asyncio.sleep(0.6)  # whoever generated it has heard by then
    for server in servers:
        assert (await server.get(f"/responses/{ids[0]}")).json() == cancels[0].json()
        assert (await server.get(f"/responses/{ids[1]}")).status_code == 404
    assert await stranded(url) == []
