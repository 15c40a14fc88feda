"""Who gets past the gate of a served application, WebSockets included."""

from typing import Any

import pytest

from responses_mw.cli.gate import Gate


async def passed(key: str | None, *, type: str = "http", **headers: str) -> tuple[bool, list[Any]]:
    """Whether the application behind was called, and what was sent instead."""
    called: list[bool] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(True)

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": type, "path": "/v1/responses", "method": "POST", "headers": raw}
    await Gate(app, key=key)(scope, None, send)
    return bool(called), sent


@pytest.mark.parametrize("type", ["http", "websocket"])
async def test_only_the_key_opens_a_gate_that_has_one(type: str) -> None:
    right, _ = await passed("sk-1", type=type, authorization="Bearer sk-1")
    loose, _ = await passed("sk-1", type=type, authorization="bearer  sk-1 ")
    wrong, said = await passed("sk-1", type=type, authorization="Bearer sk-2")
    none, _ = await passed("sk-1", type=type)

    assert (right, loose, wrong, none) == (True, True, False, False)
    kinds = {"http": "http.response.start", "websocket": "websocket.close"}
    assert said[0]["type"] == kinds[type]


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({"host": "127.0.0.1:4000"}, True),
        ({"host": "localhost"}, True),
        ({"host": "[::1]:4000"}, True),
        ({"host": "127.0.0.1:4000", "origin": "http://localhost:3000"}, True),
        ({"host": "rebound.example:4000"}, False),
        ({"host": "127.0.0.1.example"}, False),
        ({"host": "[::1"}, False),
        ({"host": "127.0.0.1:4000", "origin": "https://page.example"}, False),
        ({"host": "127.0.0.1:4000", "origin": "null"}, False),
    ],
)
async def test_without_a_key_only_loopback_may_be_addressed(
    headers: dict[str, str], let_in: bool
) -> None:
    assert (await passed(None, **headers))[0] is let_in


async def test_a_key_that_is_not_ascii_is_compared_whole() -> None:
    assert (await passed("schlüssel", authorization="Bearer schl"))[0] is False


@pytest.mark.parametrize("header", ["x-litellm-api-key", "api-key"])
async def test_a_key_may_stand_where_other_clients_put_it(header: str) -> None:
    assert (await passed("sk-1", **{header: "sk-1"}))[0]
    assert (await passed("sk-1", **{header: "Bearer sk-1"}))[0]
    assert not (await passed("sk-1", **{header: "sk-2"}))[0]
    assert not (await passed("sk-1", **{header: "sk-1", "authorization": "Bearer sk-2"}))[0]
