"""Virtual keys that are changed, blocked and unblocked before a served application."""

from typing import Any

import httpx2
import pytest
from every_store import store, store_url
from keyed import MASTER, ask, bearer, error, make, running, served
from live import Line, live
from websockets.asyncio.client import connect

from responses_mw.keys import KNOWN_S, KeyRing, digest_of
from stores import MemoryStore, SessionStore
from stores.accounts import Accounts

__all__ = ["store", "store_url"]


async def post(http: httpx2.AsyncClient, route: str, key: str, **given: Any) -> Any:
    return await http.post(f"/key/{route}", json={"key": key, **given}, headers=bearer(MASTER))


# --- changed


async def test_a_raised_budget_lets_its_key_go_on(store: SessionStore) -> None:
    async with running(served(store)) as http:
        key = await make(http, max_budget=1.0, rpm=100, budget_duration="30d")
        before = [await ask(http, key, "dear") for _ in range(2)]
        told = await http.get(f"/key/info?key={key}", headers=bearer(MASTER))
        changed = await post(http, "update", key, max_budget=3.0)
        after = [await ask(http, key, "dear") for _ in range(3)]

    assert [answer.status_code for answer in before] == [200, 429]
    assert changed.status_code == 200
    assert changed.json() == {**told.json(), "max_budget": 3.0}
    assert [answer.status_code for answer in after] == [200, 200, 429]


async def test_every_limit_is_set_and_taken_away(store: SessionStore) -> None:
    limits = {
        "name": "n",
        "models": ["echo"],
        "max_budget": 2.0,
        "budget_duration": "1h",
        "rpm": 3,
        "tpm": 4,
        "expires": "30d",
    }
    async with running(served(store)) as http:
        key = await make(http)
        bare = (await http.get(f"/key/info?key={key}", headers=bearer(MASTER))).json()
        full = (await post(http, "update", bare["id"], **limits)).json()
        again = (await post(http, "update", key, **dict.fromkeys(limits))).json()

    assert {name: full[name] for name in ("name", "models", "max_budget", "rpm", "tpm")} == {
        name: limits[name] for name in ("name", "models", "max_budget", "rpm", "tpm")
    }
    assert full["budget_duration_s"] == 3600
    assert None not in (full["budget_ends"], full["expires_at"])
    assert again == bare


async def test_litellms_names_are_understood_in_a_change() -> None:
    async with running(served(MemoryStore())) as http:
        key = await make(http, rpm=5, tpm=5)
        named = {"rpm_limit": 1, "tpm_limit": None, "duration": "1h", "key_alias": "a"}
        told = (await post(http, "update", key, **named)).json()

    assert [told[name] for name in ("rpm", "tpm", "name")] == [1, None, "a"]
    assert told["expires_at"] is not None


async def test_a_budget_takes_its_duration_along() -> None:
    async with running(served(MemoryStore())) as http:
        key = await make(http, max_budget=1.0, budget_duration="1h")
        told = (await post(http, "update", key, max_budget=None)).json()

    assert [told[name] for name in ("max_budget", "budget_duration_s", "budget_ends")] == [None] * 3


async def test_an_expired_key_gets_more_time(store: SessionStore) -> None:
    async with running(served(store)) as http:
        key = await make(http)
        kept = await store.key(digest_of(key))
        assert kept is not None
        await store.change_key(kept.id, {"expires_at": kept.created_at}, at=kept.created_at)
        before = await ask(http, key)
        await post(http, "update", key, expires="1h")
        after = await ask(http, key)

    assert error(before) == (401, "invalid_api_key")
    assert after.status_code == 200


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, None),
        ({"max_budget": 0}, "max_budget"),
        ({"max_budget": "1"}, "max_budget"),
        ({"budget_duration": "30d"}, "budget_duration"),
        ({"max_budget": None, "budget_duration": "30d"}, "budget_duration"),
        ({"max_budget": 1.0, "budget_duration": "soon"}, "budget_duration"),
        ({"rpm": 0}, "rpm"),
        ({"tpm": 2**53}, "tpm"),
        ({"expires": "2020-01-01"}, "expires"),
        ({"name": "a\x00"}, "name"),
        ({"owner": "bob"}, "owner"),
        ({"user_id": "bob"}, "user_id"),
        ({"blocked": True}, "blocked"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused_and_nothing_is_changed(
    given: dict[str, Any], param: str | None
) -> None:
    async with running(served(MemoryStore())) as http:
        key = await make(http)
        before = await http.get(f"/key/info?key={key}", headers=bearer(MASTER))
        answer = await post(http, "update", key, **{"models": ["m"], **given} if given else {})
        after = await http.get(f"/key/info?key={key}", headers=bearer(MASTER))

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert key not in answer.text
    assert after.json() == before.json()


async def test_why_an_owner_stays_is_said() -> None:
    async with running(served(MemoryStore())) as http:
        answer = await post(http, "update", await make(http), owner="bob")

    assert "the responses made with the key are its owner's" in answer.json()["error"]["message"]


# --- blocked


async def test_a_blocked_key_is_refused_until_it_is_unblocked(store: SessionStore) -> None:
    async with running(served(store)) as http:
        key = await make(http, rpm=2, max_budget=5.0)
        first = await ask(http, key)
        before = await http.get(f"/key/info?key={key}", headers=bearer(MASTER))
        blocked = [await post(http, "block", key) for _ in range(2)]
        refused = [await ask(http, key) for _ in range(3)]
        unblocked = [await post(http, "unblock", before.json()["id"]) for _ in range(2)]
        read = await http.get(f"/responses/{first.json()['id']}", headers=bearer(key))
        asked = [await ask(http, key) for _ in range(2)]

    assert [answer.json() for answer in blocked] == [{**before.json(), "blocked": True}] * 2
    assert {error(answer) for answer in refused} == {(401, "key_blocked")}
    assert [answer.json() for answer in unblocked] == [before.json()] * 2
    assert read.status_code == 200
    assert [answer.status_code for answer in asked] == [200, 429]


async def test_a_blocked_key_that_was_looked_up_reads_for_seconds_and_no_longer() -> None:
    store, now = MemoryStore(), [0.0]
    async with running(app := served(store)) as http:
        app._keys = KeyRing(store, clock=lambda: now[0])
        key = await make(http)
        await http.get("/models", headers=bearer(key))
        await post(http, "block", key)
        statuses = [(await http.get("/models", headers=bearer(key))).status_code]
        now[0] = KNOWN_S
        late = await http.get("/models", headers=bearer(key))
        await post(http, "unblock", key)
        statuses.append((await http.get("/models", headers=bearer(key))).status_code)

    assert error(late) == (401, "key_blocked")
    assert late.headers["www-authenticate"] == "Bearer"
    assert statuses == [200, 200]


@pytest.mark.parametrize("route", ["update", "block", "unblock"])
async def test_a_key_that_is_missing_or_revoked_is_not_found(
    store: SessionStore, route: str
) -> None:
    given = {"rpm": 1} if route == "update" else {}
    async with running(served(store)) as http:
        key = await make(http)
        await http.post("/key/delete", json={"keys": [key]}, headers=bearer(MASTER))
        answers = [await post(http, route, named, **given) for named in ("nobody", "", key)]

    assert [answer.status_code for answer in answers] == [404] * 3


async def test_an_open_websocket_obeys_as_a_request_does() -> None:
    store, now = MemoryStore(), [0.0]
    app = served(store)
    app._keys = KeyRing(store, clock=lambda: now[0])
    async with live(app) as address, httpx2.AsyncClient(base_url=f"http://{address}/v1") as http:
        key = await make(http)
        url = f"ws://{address}/v1/responses"
        async with connect(url, additional_headers=bearer(key)) as connection:
            line = Line(connection)

            async def said() -> tuple[str, str | None]:
                await line.say()
                last = (await line.turn())[-1]
                return last["type"], last.get("error", {}).get("code")

            told = [await said()]
            for route, given in (
                ("update", {"models": ["other"]}),
                ("update", {"models": ["echo"]}),
                ("block", {}),
                ("unblock", {}),
            ):
                await post(http, route, key, **given)
                now[0] += KNOWN_S
                told.append(await said())
            await http.post("/key/delete", json={"keys": [key]}, headers=bearer(MASTER))
            now[0] += KNOWN_S
            told.append(await said())

    done = ("response.completed", None)
    refused = [("error", code) for code in ("model_not_allowed", "key_blocked", "invalid_api_key")]
    assert told == [done, refused[0], done, refused[1], done, refused[2]]


# --- a store that was written before


class Older(MemoryStore):
    """Keeps keys, and cannot change them."""

    changes_keys = False
    change_key = Accounts.change_key


@pytest.mark.parametrize("route", ["update", "block", "unblock"])
async def test_a_store_from_before_keys_could_be_changed_says_so(route: str) -> None:
    given = {"rpm": 1} if route == "update" else {}
    async with running(served(Older())) as http:
        key = await make(http)
        answer = await post(http, route, key, **given)
        asked = await ask(http, key)
        revoked = await http.post("/key/delete", json={"keys": [key]}, headers=bearer(MASTER))

    assert error(answer) == (400, "unsupported_parameter")
    assert "store cannot change keys" in answer.json()["error"]["message"]
    assert (asked.status_code, revoked.status_code) == (200, 200)
