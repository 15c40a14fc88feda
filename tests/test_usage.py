"""What responses used and cost: in headers, in the response, and summed."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from every_store import store, store_url

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, Stopped, TextDelta, UpstreamInfo, UsageReported
from responses_mw.errors import UpstreamProtocolError
from responses_mw.records import Observer, TurnRecord
from responses_mw.retention import sweep
from responses_mw.router import Deployment, Provider
from responses_mw.settings import Settings
from responses_mw.testing import ScriptedProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn
from stores import SessionStore
from stores.accounts import UsageQuery

__all__ = ["store", "store_url"]

USED = UsageReported(
    input_tokens=1000,
    output_tokens=100,
    cached_tokens=400,
    cache_write_tokens=100,
    reasoning_tokens=40,
)
PRICES = {
    "input_cost_per_token": 1e-6,
    "output_cost_per_token": 5e-6,
    "cache_read_input_token_cost": 1e-7,
    "cache_creation_input_token_cost": 1.25e-6,
    "output_cost_per_reasoning_token": 1e-5,
}
COST = "0.001365"
"""By hand: 500 x 1 + 400 x 0.1 + 100 x 1.25 + 60 x 5 + 40 x 10 = 1365 millionths."""


@dataclass
class Metered:
    """Says how much it used with every answer."""

    usage: UsageReported | None = USED
    said: str = "Hello."
    hangs: bool = False
    breaks: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        yield UpstreamInfo(model="whatever")
        yield TextDelta(self.said)
        if self.hangs:
            self.begun.set()
            await asyncio.sleep(60)
        if self.breaks:
            raise UpstreamProtocolError("it broke")
        if self.usage is not None:
            yield self.usage
        yield Stopped()


@dataclass
class Watching(Observer):
    records: list[TurnRecord] = field(default_factory=list)

    def on_end(self, record: TurnRecord) -> None:
        self.records.append(record)


def application(
    store: SessionStore, provider: Provider, *, watching: Watching | None = None, **settings: Any
) -> ResponsesApp:
    models = {
        "priced": Deployment(provider, id="here", prices=PRICES),
        "unpriced": Deployment(provider, id="there"),
    }
    observers = [] if watching is None else [watching]
    return ResponsesApp(
        store=store,
        models=models,
        owner=lambda request: request.headers.get("x-owner", "ann"),
        settings=Settings(drain_s=1, **settings),
        observers=observers,
    )


def client(app: ResponsesApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test")


async def ask(http: httpx2.AsyncClient, **given: Any) -> Any:
    headers = given.pop("headers", {})
    body = {"model": "priced", "input": "hi", **given}
    return await http.post("/responses", json=body, headers=headers)


async def usage(http: httpx2.AsyncClient, *, owner: str = "ann", **query: Any) -> Any:
    answer = await http.get("/usage", params=query, headers={"x-owner": owner})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_a_whole_answer_says_what_it_cost_and_so_does_reading_it(
    store: SessionStore,
) -> None:
    app = application(store, Metered())
    async with app.lifespan(), client(app) as http:
        answer = await ask(http)
        again = await http.get(f"/responses/{answer.json()['id']}")

    for each in (answer, again):
        assert each.headers["x-response-cost"] == COST
        assert each.headers["x-litellm-response-cost"] == COST
        assert "cost" not in each.json()["usage"]


async def test_an_unknown_price_is_no_header_and_null(store: SessionStore) -> None:
    app = application(store, Metered(), cost_in_usage=True)
    async with app.lifespan(), client(app) as http:
        answer = await ask(http, model="unpriced")
        (total,) = await usage(http)

    assert "x-response-cost" not in answer.headers
    assert "cost" not in answer.json()["usage"]
    assert (total["requests"], total["unpriced_requests"], total["cost"]) == (1, 1, None)
    assert total["input_tokens"] == 1000


async def test_a_stream_says_its_cost_at_its_end_where_a_setting_asks_for_it(
    store: SessionStore,
) -> None:
    app = application(store, Metered(), cost_in_usage=True)
    async with app.lifespan(), client(app) as http:
        streamed = await ask(http, stream=True)
        id = streamed.text.rpartition('"id":"resp_')[2].partition('"')[0]
        read = await http.get(f"/responses/resp_{id}")

    assert '"total_tokens":1100,"cost":0.001365}' in streamed.text
    assert "x-response-cost" not in streamed.headers
    assert read.json()["usage"]["cost"] == 0.001365


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("stream", [True, False])
async def test_every_way_to_ask_counts(store: SessionStore, *, stored: bool, stream: bool) -> None:
    watching = Watching()
    app = application(store, Metered(), watching=watching)
    async with app.lifespan(), client(app) as http:
        await ask(http, store=stored, stream=stream, user="eve")
        (total,) = await usage(http, group_by="user,model,deployment")

    assert total == {
        "user": "eve",
        "model": "priced",
        "deployment": "here",
        "requests": 1,
        "input_tokens": 1000,
        "output_tokens": 100,
        "cached_tokens": 400,
        "cache_write_tokens": 100,
        "reasoning_tokens": 40,
        "cost": 0.001365,
        "unpriced_requests": 0,
    }
    (record,) = watching.records
    assert (record.cost_nano, record.usage, record.estimated) == (1_365_000, USED, False)


async def test_a_chain_is_summed_whether_it_is_stored_or_not_and_so_is_a_conversation(
    store: SessionStore,
) -> None:
    app = application(store, Metered())
    async with app.lifespan(), client(app) as http:
        first = (await ask(http)).json()["id"]
        second = (await ask(http, previous_response_id=first)).json()["id"]
        await ask(http, previous_response_id=second, store=False)
        await ask(http, previous_response_id=first)
        conversation = (await http.post("/conversations", json={})).json()["id"]
        await ask(http, conversation=conversation)
        await ask(http, conversation=conversation)
        totals = await usage(http, group_by="chain")

    assert {total["chain"]: total["requests"] for total in totals} == {first: 4, conversation: 2}


async def test_tags_come_from_a_header_and_from_metadata(store: SessionStore) -> None:
    app = application(store, Metered())
    async with app.lifespan(), client(app) as http:
        await ask(http, headers={"x-litellm-tags": "red, blue"}, metadata={"tags": "blue,green"})
        listed = await ask(http, metadata={"tags": ["green", "grey"]})
        await ask(http)
        totals = await usage(http, group_by="tag")
        (green,) = await usage(http, tag="green")

    counts = {total["tag"]: total["requests"] for total in totals}
    assert counts == {"red": 1, "blue": 1, "green": 2, "grey": 1, None: 1}
    assert green["requests"] == 2
    assert listed.json()["metadata"] == {"tags": "green,grey"}


async def test_an_end_user_is_the_safety_identifier_or_else_the_user(store: SessionStore) -> None:
    app = application(store, Metered())
    async with app.lifespan(), client(app) as http:
        await ask(http, safety_identifier="eve", user="e")
        await ask(http, safety_identifier="eve", store=False)
        await ask(http, user="ben")
        await ask(http, user="ben", headers={"x-litellm-end-user-id": "eve"})
        await ask(http, headers={"x-litellm-end-user-id": "ann"})
        await ask(http, headers={"x-litellm-customer-id": "ann"}, store=False)
        totals = await usage(http, group_by="user")
        (eves,) = await usage(http, user="eve")

    counts = {total["user"]: total["requests"] for total in totals}
    assert counts == {"eve": 2, "ben": 2, "ann": 2}
    assert eves["requests"] == 2


async def test_an_answer_that_is_cut_short_counts_what_was_used_until_then(
    store: SessionStore,
) -> None:
    provider = Metered(said="x" * 360, hangs=True)
    app = application(store, provider)
    async with app.lifespan(), client(app) as http:
        asked = await ask(http, background=True)
        await provider.begun.wait()
        cancelled = await http.post(f"/responses/{asked.json()['id']}/cancel")
        (total,) = await usage(http, group_by="status")

    assert cancelled.json()["status"] == "cancelled"
    assert (total["status"], total["requests"], total["unpriced_requests"]) == ("cancelled", 1, 0)
    assert (total["input_tokens"] > 0, total["output_tokens"]) == (True, 100)
    assert total["cost"] == pytest.approx(1e-6 * total["input_tokens"] + 5e-6 * 100)


async def test_an_answer_that_breaks_counts_and_one_that_was_refused_does_not(
    store: SessionStore,
) -> None:
    app = application(store, Metered(breaks=True))
    async with app.lifespan(), client(app) as http:
        await ask(http, stream=True)
        missing = await ask(http, model="nobody")
        totals = await usage(http, group_by="status")

    assert missing.status_code == 400
    assert [(total["status"], total["requests"]) for total in totals] == [("failed", 1)]
    assert totals[0]["output_tokens"] > 0


async def test_a_response_that_is_deleted_while_it_runs_is_paid_for_without_a_name(
    store: SessionStore,
) -> None:
    provider = Metered(hangs=True)
    app = application(store, provider)
    async with app.lifespan(), client(app) as http:
        id = (await ask(http, background=True, user="eve")).json()["id"]
        await provider.begun.wait()
        await http.delete(f"/responses/{id}")
        while not (totals := await usage(http, group_by="user")):
            await asyncio.sleep(0.01)

    assert [(total["user"], total["requests"]) for total in totals] == [(None, 1)]
    assert totals[0]["input_tokens"] > 0


async def test_what_compacting_used_counts(store: SessionStore) -> None:
    app = application(store, Metered())
    async with app.lifespan(), client(app) as http:
        await http.post("/responses/compact", json={"model": "priced", "input": "a long story"})
        (total,) = await usage(http)

    assert (total["requests"], total["cost"]) == (1, 0.001365)


async def test_nobody_sees_what_others_used(store: SessionStore) -> None:
    app = application(store, Metered())
    async with app.lifespan(), client(app) as http:
        await ask(http, headers={"x-owner": "ann"})
        await ask(http, headers={"x-owner": "bob"})
        await ask(http, headers={"x-owner": "bob"}, store=False)
        anns, bobs = await usage(http), await usage(http, owner="bob")
        prying = await http.get("/usage", params={"owner": "bob"}, headers={"x-owner": "ann"})

    assert ([t["requests"] for t in anns], [t["requests"] for t in bobs]) == ([1], [2])
    assert (prying.status_code, prying.json()["error"]["param"]) == (400, "owner")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "user,user"}, "group_by"),
        ({"start": "yesterday"}, "start"),
        ({"end": "9" * 30}, "end"),
        ({"day": "2026-13-01"}, "day"),
        ({"limit": "0"}, "limit"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_summed_is_named(query: dict[str, str], param: str) -> None:
    app = application(open_memory(), Metered())
    async with app.lifespan(), client(app) as http:
        answer = await http.get("/usage", params=query)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_span_and_a_limit_are_heeded() -> None:
    app = application(open_memory(), Metered())
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    async with app.lifespan(), client(app) as http:
        for user in ("a", "b", "c"):
            await ask(http, user=user)
        later = await usage(http, start=tomorrow)
        earlier = await usage(http, end=tomorrow, start=str(int(time.time()) - 60))
        few = await http.get("/usage", params={"group_by": "user", "limit": "2"})

    assert later == []
    assert [total["requests"] for total in earlier] == [3]
    assert (len(few.json()["data"]), few.json()["has_more"]) == (2, True)


async def test_what_waits_is_written_at_the_end(store: SessionStore) -> None:
    app = application(store, Metered())
    async with app.lifespan(), client(app) as http:
        for _ in range(10):
            await ask(http, store=False)

    async with store:
        (total,) = await store.usage(UsageQuery())
    assert total.requests == 10


async def test_old_responses_are_deleted_and_living_chains_stay_whole(
    store: SessionStore,
) -> None:
    provider = ScriptedProvider("one", "two", "three", "four")
    models = {"m": provider}
    app = ResponsesApp(store=store, models=models, owner=lambda request: request.headers["x-owner"])
    settings = Settings(ttl_s=3600, owner_ttl_s={"keeps": None, "short": 60})
    async with app.lifespan(), client(app) as http:
        ids = {}
        for owner in ("keeps", "short", "usual"):
            headers = {"x-owner": owner}
            answer = await ask(http, model="m", headers=headers)
            ids[owner] = answer.json()["id"]

        in_minutes = await sweep(store, settings, now=datetime.now(UTC) + timedelta(minutes=2))
        in_hours = await sweep(store, settings, now=datetime.now(UTC) + timedelta(hours=2))
        left = {
            owner: (await http.get(f"/responses/{id}", headers={"x-owner": owner})).status_code
            for owner, id in ids.items()
        }

    assert (in_minutes, in_hours) == (1, 1)
    assert left == {"keeps": 200, "short": 404, "usual": 404}


async def test_the_sweeper_runs_by_itself(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responses_mw.runtime.SWEEP_S", 0.05)
    app = application(store, Metered(), ttl_s=0.2)
    async with app.lifespan(), client(app) as http:
        id = (await ask(http)).json()["id"]
        async with asyncio.timeout(10):
            while (await http.get(f"/responses/{id}")).status_code == 200:
                await asyncio.sleep(0.02)
        (total,) = await usage(http)

    assert total["requests"] == 1


def open_memory() -> SessionStore:
    from stores import MemoryStore

    return MemoryStore()
