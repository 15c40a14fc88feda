"""What clients may send to break things: into other people's data, logs, headers and tables."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from every_store import store, store_url
from live import live
from tally import Tried

from responses_mw import ResponsesApp, Settings
from responses_mw.testing import EchoProvider
from stores import SessionStore

__all__ = ["store", "store_url"]

NASTY = [
    "'; DROP TABLE rmw_response; --",
    '" OR ""="',
    "%' OR '1'='1",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "a\x00b",
    "x\r\nset-cookie: evil=1",
    "\n[ERROR] forged line",
    "\u202eevil\u2066",
    "\ud7ff\ue000\uffff",
    "${jndi:ldap://127.0.0.1/}",
    "{{7*7}}",
    "A" * 20_000,
    "resp_" + "0" * 32,
    "\u0130\u0131\ufb01",
]


@pytest.fixture
async def http(store: SessionStore) -> AsyncIterator[httpx.AsyncClient]:
    app = ResponsesApp(store=store, models={"echo": EchoProvider()}, settings=Settings(drain_s=1))
    async with live(app) as address:
        url = f"http://{address}"
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            yield client


async def kept(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post("/responses", json={"model": "echo", **body})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_nasty_text_is_only_text(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, tried: Tried
) -> None:
    caplog.set_level(logging.DEBUG, "responses_mw")
    before = await kept(http, input="before")
    for nasty in NASTY:
        made = await kept(http, input=nasty, instructions=nasty, user=nasty[:60])
        more = await kept(http, input="?", previous_response_id=made["id"])
        assert nasty in more["output"][0]["content"][0]["text"]
        await everywhere(http, nasty)
    assert (await http.get(f"/responses/{before['id']}")).json() == before
    assert not [record for record in caplog.records if "\n" in record.getMessage()]
    tried("hostile requests", 10 * len(NASTY))


async def everywhere(http: httpx.AsyncClient, nasty: str) -> None:
    """In every place where a name or an id stands."""
    for field in ("model", "previous_response_id", "conversation", "metadata"):
        given = {nasty[:64]: nasty[:512]} if field == "metadata" else nasty
        body = {"model": "echo", "input": "hi", field: given}
        check(await http.post("/responses", json=body))
    quoted = quote(nasty, safe="")[:8000]
    for path in ("responses", "conversations"):
        for rest in ("", "/items"):
            check(await http.get(f"/{path}/{quoted}{rest}"))


def check(answer: httpx.Response) -> None:
    assert answer.status_code in (200, 400, 404, 405, 414), answer.text
    assert "set-cookie" not in answer.headers
    if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert len(answer.content) < 2000


HOSTILE = [
    b"[" * 200_000,
    b'{"input":' * 50_000,
    b'{"model":"echo","input":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"model":"echo","input":"hi","temperature":1e999}',
    b'{"model":"echo","input":"hi","max_output_tokens":' + b"9" * 5000 + b"}",
    b'{"model":"echo","input":"\\ud800"}',
    b'{"model":"echo","input":"hi","metadata":{"a":NaN}}',
    b"\xff\xfe{\x00}\x00",
    b'{"model":"echo","model":"echo","input":"hi","store":"yes"}',
    b"",
]


@pytest.mark.parametrize("store", ["memory://"])
async def test_a_hostile_body_is_a_400(http: httpx.AsyncClient) -> None:
    for body in HOSTILE:
        async with asyncio.timeout(5):
            answer = await http.post("/responses", content=body)
        assert answer.status_code == 400, answer.text
        assert len(answer.content) < 2000
    assert (await kept(http, input="still there"))["status"] == "completed"
