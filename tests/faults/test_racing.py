"""Many clients on one chain: branches, continuations and deletions race, and no history is torn."""

import asyncio
import random
from typing import Any

import httpx
from every_store import store, store_url
from kills import text_of
from live import live
from victims import Paced, answer_to, asking

from responses_mw.app import ResponsesApp
from responses_mw.settings import Settings
from stores import SessionStore

__all__ = ["store", "store_url"]

CLIENTS = 64
STEPS = 2


async def ask(http: httpx.AsyncClient, said: list[str], after: str | None) -> tuple[Any, list[str]]:
    """What a turn of one's own behind `after` ended with, and the chain up to it."""
    text = asking(2, nonce=f"n{random.randrange(1 << 60)}")
    body = {"model": "paced", "input": text, "previous_response_id": after}
    answer = await http.post("/responses", json=body)
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert text_of(made) == answer_to([*said, text])
    return made, [*said, text, text_of(made)]


async def test_sixty_four_clients_branch_and_delete_on_one_chain(store: SessionStore) -> None:
    app = ResponsesApp(store=store, models={"paced": Paced()}, settings=Settings(drain_s=1))
    async with (
        live(app) as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=30, trust_env=False) as http,
    ):
        root, said = await ask(http, [], None)
        root, said = await ask(http, said, root["id"])
        deleted: set[str] = set()

        async def walk(n: int) -> tuple[Any, list[str]]:
            own, chain = root, said
            for _ in range(STEPS):
                before = own
                own, chain = await ask(http, chain, own["id"])
                if before is not root and random.random() < 0.5:
                    assert (await http.delete(f"/responses/{before['id']}")).status_code == 200
                    deleted.add(before["id"])
            return own, chain

        ends = await asyncio.gather(*(walk(n) for n in range(CLIENTS)))
        assert (await http.delete(f"/responses/{root['id']}")).status_code == 200
        for own, chain in ends:
            assert (await http.get(f"/responses/{own['id']}")).json() == own
            await ask(http, chain, own["id"])
        for id in [*deleted, root["id"]]:
            assert (await http.get(f"/responses/{id}")).status_code == 404
