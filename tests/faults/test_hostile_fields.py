"""Every place of every request, filled with what breaks things: a clear 4xx or an answer, at once.

Places are found in the table of routes and in one full body per route, so that a new route or
parameter is tried, too. `RESPONSES_MW_EXAMPLES` says how many requests are made on each store.
"""

import logging
import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from every_store import store, store_url
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from live import line, live
from nasty import HOOK, TEXTS, TOKENS, VALUES, places, with_value
from tally import Tried

from responses_mw import ResponsesApp, Settings
from responses_mw.cli.standalone import Standalone
from responses_mw.openapi_routes import OPERATIONS
from responses_mw.records import Attempt, Caller, TurnRecord
from responses_mw.router import Deployment
from responses_mw.telemetry.log import JSONLines, TextLines
from responses_mw.telemetry.prometheus import MOST_NAMES, OTHERS, Prometheus
from responses_mw.testing import EchoProvider
from stores import SessionStore

__all__ = ["store", "store_url"]

EXAMPLES = int(os.environ.get("RESPONSES_MW_EXAMPLES", "8")) * 20
MASTER = "sk-master-key"
SLOWEST_S = 3.0
HEADERS = [
    "authorization", "x-litellm-tags", "x-litellm-timeout", "x-litellm-session-id", "x-session-id",
    "traceparent", "tracestate", "content-type", "content-encoding", "origin", "host", "cookie",
    "x-forwarded-for", "x-request-id", "accept", "idempotency-key",
]  # fmt: skip

HI = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}
PICTURE = {"type": "input_image", "image_url": "http://127.0.0.1:9/a.png", "detail": "low"}
PAPER = {"type": "input_file", "file_url": "http://127.0.0.1:9/a.pdf", "filename": "a.pdf"}
ITEMS = [
    {"id": "ours", "role": "user", "content": [HI["content"][0], PICTURE, PAPER]},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "ok"},
    {"type": "reasoning", "summary": [], "encrypted_content": "rmw1.AAAA"},
]
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
FORMAT = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
ASKED = {
    "model": "any/x",
    "input": ITEMS,
    "instructions": "Be brief.",
    "tools": [FUNCTION],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": FORMAT, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
}
BODIES: dict[str | None, Any] = {
    "create": {
        **ASKED,
        "metadata": {"tags": "a,b", "k": "v"},
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "p",
        "temperature": 1,
        "top_p": 1,
        "top_logprobs": 1,
        "max_output_tokens": 100,
        "include": ["reasoning.encrypted_content"],
        "context_management": [{"type": "compaction", "compact_threshold": 100_000}],
        "stream": False,
        "store": True,
        "stream_options": {"include_obfuscation": False},
    },
    "count": {name: ASKED[name] for name in ("model", "input", "instructions", "tools")},
    "compact": {name: ASKED[name] for name in ("model", "input", "prompt_cache_options")},
    "new_conversation": {"metadata": {"a": "b"}, "items": ITEMS},
    "conversation_update": {"metadata": {"a": "b"}},
    "new_items": {"items": ITEMS},
    "new_key": {
        "owner": "o",
        "name": "n",
        "models": ["any/x"],
        "max_budget": 1.0,
        "budget_duration": "1d",
        "rpm": 10,
        "tpm": 10,
        "expires": "1d",
    },
    "changed_key": {
        "key": "key_x",
        "name": "n",
        "models": ["any/x"],
        "max_budget": 1.0,
        "budget_duration": "1d",
        "rpm": 10,
        "tpm": None,
        "expires": "1d",
    },
    "named_key": {"key": "key_x"},
    "revoked_keys": {"keys": ["key_x"]},
}


SAID = {"type": "response.create", "generate": True, "store": False, **ASKED}
"""On a WebSocket."""


@dataclass(frozen=True)
class Asked:
    """One request: valid, but in one place."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


ROUTES = [
    (method, path, operation)
    for path, methods in OPERATIONS.items()
    for method, operation in methods.items()
]


@st.composite
def hostile(draw: st.DrawFn) -> Asked:
    method, path, operation = draw(st.sampled_from(ROUTES))
    body = BODIES[operation.body] if operation.body else None
    sent = None if body is None else orjson.dumps(body)
    kinds = ["query", "header"] + ["path"] * ("{" in path) + ["body"] * 4 * (body is not None)
    text = draw(st.one_of(st.sampled_from(TEXTS), st.text(max_size=20)))
    match draw(st.sampled_from(kinds)):
        case "path":
            name = draw(st.sampled_from([part for part in path.split("/") if "{" in part]))
            return Asked(method, path.replace(name, quote(text.encode(), safe="")), body=sent)
        case "query":
            name = draw(st.sampled_from([*operation.query, "include", "unknown"]))
            return Asked(method, path, query={name: text}, body=sent)
        case "header":
            # What no header can hold is refused by any HTTP server before it is ours.
            shown = "".join(char if "!" <= char <= "~" else "?" for char in text)
            return Asked(method, path, headers={draw(st.sampled_from(HEADERS)): shown}, body=sent)
    at = draw(st.sampled_from(list(places(body))))
    filled = draw(st.one_of(st.just(text), st.sampled_from(VALUES), st.sampled_from(TOKENS)))
    if isinstance(filled, bytes):
        hook = orjson.dumps(with_value(body, at, HOOK))
        return Asked(method, path, body=hook.replace(orjson.dumps(HOOK), filled))
    return Asked(method, path, body=orjson.dumps(with_value(body, at, filled)))


@dataclass
class House:
    """A server with all that requests can name, and its log, in both of its forms."""

    http: httpx.AsyncClient
    ids: dict[str, str]
    lines: list[str]

    async def ask(self, asked: Asked) -> None:
        path = asked.path
        for name, id in self.ids.items():
            path = path.replace(name, id)
        begun = time.monotonic()
        request = self.http.build_request(
            asked.method, path, params=asked.query, content=asked.body, headers=asked.headers
        )
        answer = await self.http.send(request)
        assert time.monotonic() - begun < SLOWEST_S
        assert answer.status_code < 500, answer.text
        assert not {"set-cookie", "evil"} & set(answer.headers)
        if answer.status_code >= 400:
            error = answer.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert len(answer.content) < 3000


class Kept(logging.Handler):
    """What a server's log would have, each record in both forms."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines
        self._forms = (JSONLines(), TextLines())

    def emit(self, record: logging.LogRecord) -> None:
        self._lines += [form.format(record) for form in self._forms]


@pytest.fixture
async def house(store: SessionStore) -> AsyncIterator[House]:
    models = {"any/*": Deployment(EchoProvider(), model="*"), "echo": EchoProvider()}
    app = ResponsesApp(
        store=store, models=models, settings=Settings(drain_s=1, conversation_wait_s=0.2)
    )
    lines: list[str] = []
    handler, logger = Kept(lines), logging.getLogger("responses_mw")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        async with (
            live(Standalone(app, key=MASTER)) as address,
            httpx.AsyncClient(
                base_url=f"http://{address}",
                timeout=20,
                trust_env=False,
                headers={"authorization": f"Bearer {MASTER}"},
            ) as http,
        ):
            yield House(http, await made(http), lines)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


async def made(http: httpx.AsyncClient) -> dict[str, str]:
    """What the paths of the table can name."""
    response = await http.post("/responses", json={"model": "echo", "input": "before"})
    conversation = await http.post("/conversations", json={"items": ITEMS})
    return {
        "/responses/{id}": f"/responses/{response.json()['id']}",
        "/conversations/{id}": f"/conversations/{conversation.json()['id']}",
        "{item_id}": "ours",
        "{name}": "echo",
    }


async def test_no_place_of_a_request_breaks_the_server(house: House, tried: Tried) -> None:
    before = (await house.http.get("/models")).json()

    @given(asked=hostile())
    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def collect(asked: Asked) -> None:
        requests.append(asked)

    requests: list[Asked] = []
    collect()
    # What the other paths name must stay.
    requests = [one for one in requests if one.method != "DELETE" or "{" not in one.path]
    for asked in requests:
        try:
            await house.ask(asked)
        except AssertionError as error:
            raise AssertionError(f"{asked}: {error}") from error
    assert len(requests) > EXAMPLES // 2
    tried("hostile requests", len(requests))
    assert (await house.http.get("/models")).json() == before
    for path in ("/responses/{id}", "/conversations/{id}"):
        assert (await house.http.get(house.ids[path])).status_code == 200
    assert house.lines
    assert not [line for line in house.lines if len(line.splitlines()) != 1]


@pytest.mark.parametrize("store_url", ["memory"], indirect=True)
async def test_no_message_breaks_a_websocket(house: House, tried: Tried) -> None:
    """One that is not understood is an error event, and the next one is answered."""
    messages = [orjson.dumps(value) for value in (*TEXTS, *VALUES)] + TOKENS
    for at in places(SAID):
        hook = orjson.dumps(with_value(SAID, at, HOOK))
        fillings = (*map(orjson.dumps, (*TEXTS, *VALUES)), *TOKENS)
        messages += [hook.replace(orjson.dumps(HOOK), filling) for filling in fillings]
    random.Random(2).shuffle(messages)
    headers = {"authorization": f"Bearer {MASTER}"}
    async with line(house.http.base_url.netloc.decode(), headers=headers) as connection:
        for message in messages[:EXAMPLES]:
            begun = time.monotonic()
            # Bytes that are no text go as they are, the rest as either.
            await connection.send(
                message if len(message) % 2 else message.decode("utf-8", "replace")
            )
            last = (await connection.turn())[-1]
            assert time.monotonic() - begun < SLOWEST_S
            if last["type"] == "error":
                assert last["status"] < 500, (message, last)
        assert (await connection.ask(input="still there"))[-1]["type"] == "response.completed"
    assert not [line for line in house.lines if len(line.splitlines()) != 1]
    tried("hostile requests", EXAMPLES)


def test_names_that_clients_make_up_are_not_counted_for_ever() -> None:
    """Behind a wildcard, each would be a series of its own."""
    observer = Prometheus()
    records = [
        TurnRecord(
            id=f"resp_{n}",
            caller=Caller("ann"),
            model=f"any/{n}",
            created_at=0,
            started_s=0,
            ended_s=1,
            stored=True,
            streamed=False,
            background=False,
            deployment="any/*",
            attempts=[Attempt("any/*", 0, 1, error=f"code-{n}")],
        )
        for n in range(3 * MOST_NAMES)
    ]
    observer.on_ended(records)
    exposed = observer.exposed().decode()
    lines = [line for line in exposed.splitlines() if line.startswith("responses_mw_requests_t")]
    assert len(lines) == MOST_NAMES + 1
    assert f'model="{OTHERS}",status="in_progress"}} {2.0 * MOST_NAMES}' in exposed
    assert exposed.count("responses_mw_failed_attempts_total{") == MOST_NAMES + 1
