"""Virtual keys before a served application: what they open, how much they may spend."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from every_store import store, store_url
from keyed import MASTER, Dear, ask, bearer, error, make, running, served

from responses_mw.app import ResponsesApp
from responses_mw.cli.standalone import Standalone
from responses_mw.deltas import Delta, OutputItem
from responses_mw.keys import KNOWN_S, KeyRing, digest_of, new_secret
from responses_mw.testing import EchoProvider
from responses_mw.turn import Turn
from stores import MemoryStore, SessionStore, open_store
from stores.accounts import StoredKey

__all__ = ["store", "store_url"]


# --- what a key is


async def test_a_key_is_shown_once_and_kept_as_a_digest(store: SessionStore) -> None:
    async with running(served(store)) as http:
        key = await make(http, name="for ann", models=["echo"], max_budget=1.5, rpm=3)
        listed = await http.get("/key/list", headers=bearer(MASTER))
        (told,) = listed.json()["data"]
        by_key = await http.get(f"/key/info?key={key}", headers=bearer(MASTER))
        by_id = await http.get(f"/key/info?key={told['id']}", headers=bearer(MASTER))
        missing = await http.get("/key/info?key=nobody", headers=bearer(MASTER))

    assert key not in listed.text
    assert by_key.json() == by_id.json() == told
    assert (told["owner"], told["name"], told["models"]) == ("ann", "for ann", ["echo"])
    assert (told["max_budget"], told["spent"], told["rpm"]) == (1.5, 0, 3)
    assert missing.status_code == 404


class Unlisted(MemoryStore):
    async def keys(self, *, owner: str | None = None) -> list[StoredKey]:
        raise AssertionError("all keys were read")


async def test_telling_and_revoking_one_key_reads_no_others() -> None:
    store = Unlisted()
    async with running(served(store)) as http:
        found = await store.key(digest_of(await make(http)))
        assert found is not None
        told = await http.get(f"/key/info?key={found.id}", headers=bearer(MASTER))
        body = {"keys": ["nobody", found.id, found.id]}
        revoked = await http.post("/key/delete", json=body, headers=bearer(MASTER))

    assert told.json()["id"] == found.id
    assert revoked.json()["deleted_keys"] == [found.id]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"owner": ""}, "owner"),
        ({"owner": 1}, "owner"),
        ({"owner": "a", "max_budget": 0}, "max_budget"),
        ({"owner": "a", "max_budget": -1.0}, "max_budget"),
        ({"owner": "a", "budget_duration": "30d"}, "budget_duration"),
        ({"owner": "a", "max_budget": 1.0, "budget_duration": "soon"}, "budget_duration"),
        ({"owner": "a", "rpm": 0}, "rpm"),
        ({"owner": "a", "expires": "2020-01-01"}, "expires"),
        ({"owner": "a", "colour": "red"}, "colour"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(given: dict[str, Any], param: str) -> None:
    async with running(served(MemoryStore())) as http:
        answer = await http.post("/key/generate", json=given, headers=bearer(MASTER))

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_litellms_names_are_understood() -> None:
    body = {"user_id": "ann", "key_alias": "a", "rpm_limit": 1, "tpm_limit": 2, "duration": "30d"}
    async with running(served(MemoryStore())) as http:
        answer = await http.post("/key/generate", json=body, headers=bearer(MASTER))

    told = answer.json()
    assert [told[name] for name in ("owner", "name", "rpm", "tpm")] == ["ann", "a", 1, 2]
    assert told["expires_at"] is not None


async def test_a_key_asks_for_its_models_alone() -> None:
    async with running(served(MemoryStore())) as http:
        key = await make(http, models=["echo", "de*"])
        answers = [await ask(http, key, model) for model in ("echo", "dear", "other", "nobody")]
        models = await http.get("/models", headers=bearer(key))
        other = await http.get("/models/other", headers=bearer(key))

    assert [answer.status_code for answer in answers] == [200, 200, 403, 403]
    assert error(answers[2]) == (403, "model_not_allowed")
    assert {model["id"] for model in models.json()["data"]} == {"dear", "echo"}
    assert other.status_code == 404


async def test_a_revoked_key_generates_nothing_from_then_on(store: SessionStore) -> None:
    async with running(served(store)) as http:
        key = await make(http)
        before = await ask(http, key)
        body = {"keys": [key]}
        revoked = await http.post("/key/delete", json=body, headers=bearer(MASTER))
        after = await ask(http, key)
        again = await http.post("/key/delete", json=body, headers=bearer(MASTER))

    assert (before.status_code, revoked.status_code) == (200, 200)
    assert error(after) == (401, "invalid_api_key")
    assert again.status_code == 404


async def test_a_key_that_was_looked_up_is_believed_for_seconds_and_no_longer() -> None:
    store, now = MemoryStore(), [0.0]
    ring = KeyRing(store, clock=lambda: now[0])
    async with running(served(store)) as http:
        key = await make(http)
        assert await ring.find(key) is not None
        await http.post("/key/delete", json={"keys": [key]}, headers=bearer(MASTER))

        known = await ring.find(key)
        now[0] = KNOWN_S
        asked_again = await ring.find(key)

    assert known is not None
    assert asked_again is None


# --- how much


async def test_requests_beyond_a_minutes_are_refused_before_the_model_is_asked() -> None:
    provider = Dear()
    provider.gate.set()
    async with running(served(MemoryStore(), provider)) as http:
        key = await make(http, rpm=2)
        answers = await asyncio.gather(*(ask(http, key, "dear") for _ in range(6)))

    assert Counter(answer.status_code for answer in answers) == {200: 2, 429: 4}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert error(refused) == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert provider.asked == 2


async def test_tokens_beyond_a_minutes_are_refused() -> None:
    async with running(served(MemoryStore())) as http:
        key = await make(http, tpm=150)
        answers = [await ask(http, key, "dear", store=n % 2 == 0) for n in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_spent_budget_is_no_use_to_try_again(
    store: SessionStore, *, stored: bool, stream: bool
) -> None:
    async with running(served(store)) as http:
        key = await make(http, max_budget=2.0)
        answers = [await ask(http, key, "dear", store=stored, stream=stream) for _ in range(3)]
        found = await http.get(f"/key/info?key={key}", headers=bearer(MASTER))

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error(answers[2]) == (429, "insufficient_quota")
    assert answers[2].headers["x-should-retry"] == "false"
    assert found.json()["spent"] == 2.0


async def test_a_summary_is_paid_for_like_an_answer() -> None:
    async with running(served(MemoryStore())) as http:
        key = await make(http, max_budget=1.0)
        body = {"model": "dear", "input": "long"}
        first, second = [
            await http.post("/responses/compact", json=body, headers=bearer(key)) for _ in range(2)
        ]

    assert first.status_code == 200
    assert error(second) == (429, "insufficient_quota")


class Computing(Dear):
    """Runs code, for a fee that nobody told."""

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        called = {"type": "code_interpreter_call", "status": "completed", "container_id": "c"}
        yield OutputItem({**called, "code": "1", "outputs": None})
        async for delta in super().stream(turn):
            yield delta


async def test_a_tool_of_unknown_price_does_not_make_the_rest_free(store: SessionStore) -> None:
    computing = Computing()
    computing.gate.set()
    tool = {"type": "code_interpreter", "container": {"type": "auto"}}
    async with running(served(store, computing)) as http:
        key = await make(http, max_budget=1.0)
        first, second = [await ask(http, key, "dear", tools=[tool]) for _ in range(2)]
        spent = await http.get(f"/key/info?key={key}", headers=bearer(MASTER))
        (total,) = (await http.get("/usage", headers=bearer(key))).json()["data"]

    assert first.status_code == 200
    assert "x-response-cost" not in first.headers
    assert error(second) == (429, "insufficient_quota")
    assert spent.json()["spent"] == 1.0
    assert (total["cost"], total["unpriced_requests"]) == (None, 1)


@pytest.mark.parametrize("store_url", ["sqlite", "postgres"], indirect=True)
async def test_two_workers_overshoot_a_budget_by_what_was_in_flight_and_no_more(
    store_url: str,
) -> None:
    """Four are let in with the last dollar; whoever comes once one of them was paid for is not."""
    first, second = Dear(), Dear()
    async with (
        running(served(open_store(store_url), first)) as one,
        running(served(open_store(store_url), second)) as two,
    ):
        key = await make(one, max_budget=1.0)
        in_flight = [asyncio.create_task(ask(http, key, "dear")) for http in (one, two, one, two)]
        while first.asked + second.asked < 4:
            await asyncio.sleep(0.01)
        for provider in (first, second):
            provider.gate.set()
        answers = await asyncio.gather(*in_flight)
        late = await asyncio.gather(*(ask(http, key, "dear") for http in (one, two) * 10))
        found = await one.get(f"/key/info?key={key}", headers=bearer(MASTER))

    assert [answer.status_code for answer in answers] == [200] * 4
    assert {error(answer) for answer in late} == {(429, "insufficient_quota")}
    assert first.asked + second.asked == 4
    assert found.json()["spent"] == 4.0


async def test_without_a_master_key_only_a_virtual_one_is_looked_at() -> None:
    store = MemoryStore()
    open = Standalone(ResponsesApp(store=store, models={"echo": EchoProvider()}), key=None)
    async with running(open) as http:
        anybody = await ask(http, "unused")
        key = await make(http, "ann")
        anns = await ask(http, key)
        wrong = await ask(http, new_secret())
        mine = await http.get(f"/responses/{anns.json()['id']}", headers=bearer(key))
        others = await http.get(f"/responses/{anns.json()['id']}")

    assert (anybody.status_code, anns.status_code, mine.status_code) == (200, 200, 200)
    assert error(wrong) == (401, "invalid_api_key")
    assert others.status_code == 404
