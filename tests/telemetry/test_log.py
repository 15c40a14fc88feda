"""The log: what is told of every response, and what is never told."""

import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from served import config, serving
from upstream import Exchange, upstream

from responses_mw import ChatCompletions, Deployment, HTTPProvider
from responses_mw.app import ResponsesApp
from responses_mw.deltas import TextDelta
from responses_mw.errors import UpstreamUnavailable
from responses_mw.records import Content
from responses_mw.router import Routing
from responses_mw.settings import Settings
from responses_mw.telemetry.log import JSONLines, TextLines
from responses_mw.testing import EchoProvider, ScriptedProvider
from responses_mw.testing.asgi import InProcessTransport
from stores import MemoryStore

CANARY = "sk-canary-7f3a91"
SAID = "the password of the archive is marmalade"


class Lines(logging.Handler):
    """Keeps every line as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JSONLines())
        self.written: list[str] = []
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(self.format(record))
        self.text.append(TextLines().format(record))

    @property
    def turns(self) -> list[dict[str, Any]]:
        lines = map(json.loads, self.written)
        return [line for line in lines if line["logger"] == "responses_mw.turns"]


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler, root = Lines(), logging.getLogger()
    turns, level = logging.getLogger("responses_mw.turns"), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    turns.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)
    turns.setLevel(logging.NOTSET)


async def served(app: ResponsesApp) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as http,
    ):
        yield http


async def ask(app: ResponsesApp, *bodies: dict[str, Any], **headers: str) -> list[Any]:
    answers = []
    async for http in served(app):
        for body in bodies:
            answers.append(await http.post("/responses", json=body, headers=headers))
    return answers


async def test_a_turn_is_one_event_with_everything_about_it(lines: Lines) -> None:
    app = ResponsesApp(store=MemoryStore(), models={"m": ScriptedProvider("one two three")})
    body = {"model": "m", "input": SAID, "user": "ann"}
    [answer] = await ask(app, body, **{"x-litellm-tags": "a, b", "x-session-id": "s1"})

    [event] = lines.turns
    assert event["response_id"] == answer.json()["id"]
    assert (event["owner"], event["user"], event["model"]) == ("default", "ann", "m")
    assert (event["deployment"], event["status"], event["error"]) == ("m", "completed", None)
    assert (event["input_tokens"], event["output_tokens"]) == (7, 3)
    assert (event["session"], event["tags"]) == ("s1", ["a", "b"])
    assert (event["retries"], event["fallbacks"]) == (0, 0)
    assert 0 < event["first_delta_s"] <= event["latency_s"] < 5
    assert event["level"] == "info"


async def test_a_refused_and_a_cut_answer_are_events_too(lines: Lines) -> None:
    broken = [TextDelta("half"), UpstreamUnavailable("it broke")]
    provider = ScriptedProvider(UpstreamUnavailable("no connection"), broken)
    app = ResponsesApp(store=MemoryStore(), models={"m": provider})
    await ask(app, {"model": "m", "input": "a"}, {"model": "m", "input": "b", "stream": True})

    assert [(event["status"], event["error"]) for event in lines.turns] == [
        ("failed", "upstream_unavailable"),
        ("failed", "upstream_unavailable"),
    ]
    assert [event["first_delta_s"] is None for event in lines.turns] == [True, False]


async def test_a_fallback_is_counted(lines: Lines) -> None:
    class Down:
        async def stream(self, turn: Any) -> AsyncIterator[Any]:
            raise UpstreamUnavailable("no connection")
            yield

    models = {"m": [Deployment(Down(), id="down"), Deployment(EchoProvider(), id="up")]}
    app = ResponsesApp(store=MemoryStore(), models=models)
    await ask(app, *[{"model": "m", "input": "a"}] * 12)

    assert {event["deployment"] for event in lines.turns} == {"up"}
    [fallen] = {event["fallbacks"] for event in lines.turns} - {0}
    assert fallen == 1


async def test_who_answered_in_whose_place_is_told(lines: Lines) -> None:
    models = {"m": ScriptedProvider(UpstreamUnavailable("no connection")), "n": EchoProvider()}
    app = ResponsesApp(store=MemoryStore(), models=models, routing=Routing(fallbacks={"m": ["n"]}))
    await ask(app, {"model": "m", "input": "a"}, {"model": "n", "input": "a"})
    assert [event["fallback"] for event in lines.turns] == ["m->n", None]


async def test_what_was_said_is_not_told(lines: Lines) -> None:
    app = ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()})
    await ask(app, {"model": "m", "input": SAID, "instructions": SAID})

    assert len(lines.turns) == 1
    assert not [line for line in (*lines.written, *lines.text) if "marmalade" in line]


async def test_a_setting_tells_what_was_said_of_this_turn_alone(lines: Lines) -> None:
    settings = Settings(log_content=True)
    app = ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()}, settings=settings)
    async for http in served(app):
        first = await http.post("/responses", json={"model": "m", "input": SAID})
        after = {"model": "m", "input": "And?", "previous_response_id": first.json()["id"]}
        await http.post("/responses", json={**after, "instructions": "Be brief."})

    one, two = (event["content"] for event in lines.turns)
    assert one["input"][0]["content"] == SAID
    assert one["output"][0]["content"][0]["text"] == f"user: {SAID}"
    assert two["instructions"] == "Be brief."
    assert SAID not in json.dumps(two["input"])


def masked(content: Content) -> Content | None:
    if "drop" in str(content.input):
        return None
    if "raise" in str(content.input):
        raise ValueError(SAID)
    text = json.dumps([content.input, content.output]).replace("marmalade", "***")
    input, output = json.loads(text)
    return Content(input, output)


@pytest.mark.parametrize(("asked", "told"), [("", True), ("drop ", False), ("raise ", False)])
async def test_what_is_told_is_redacted_first(lines: Lines, asked: str, told: bool) -> None:
    settings = Settings(log_content=True, redact_content=masked)
    app = ResponsesApp(store=MemoryStore(), models={"m": EchoProvider()}, settings=settings)
    [answer] = await ask(app, {"model": "m", "input": asked + SAID})

    assert "marmalade" in answer.text
    [event] = lines.turns
    assert ("content" in event) is told
    assert not [line for line in (*lines.written, *lines.text) if "marmalade" in line]


async def refuse(exchange: Exchange) -> None:
    message = f"Incorrect API key provided: {exchange.headers['authorization']}"
    await exchange.whole({"error": {"message": message, "type": "invalid"}}, 401)


async def break_off(exchange: Exchange) -> None:
    exchange.writer.close()


async def garbage(exchange: Exchange) -> None:
    await exchange.whole(b"<html>" + exchange.headers["authorization"].encode())


@pytest.mark.parametrize("answer", [refuse, break_off, garbage])
@pytest.mark.parametrize("key", [CANARY, f"{CANARY}\n", f"{CANARY}é"])
async def test_no_key_is_written_whatever_goes_wrong(lines: Lines, answer: Any, key: str) -> None:
    async with upstream(answer) as up:
        provider = HTTPProvider(
            ChatCompletions(), base_url=up.url, headers={"authorization": f"Bearer {key}"}
        )
        settings = Settings(log_content=True)
        app = ResponsesApp(store=MemoryStore(), models={"m": provider}, settings=settings)
        body = {"model": "m", "input": "a"}
        asked = {"authorization": f"Bearer {CANARY}", "x-api-key": CANARY}
        answers = await ask(app, body, {**body, "stream": True}, **asked)

    assert len(lines.turns) == 2
    assert not [line for line in (*lines.written, *lines.text) if CANARY in line]
    assert all(answer.status_code >= 400 for answer in answers)


def test_a_line_is_one_json_object_whatever_it_holds() -> None:
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "ERROR", "msg": "two\n%s", "args": ("lines",), "odd": {1: set()}}
    )
    line = JSONLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines"
    assert json.loads(line)["odd"] == {"1": "set()"}


@pytest.mark.parametrize("workers", [1, 2])
def test_serve_writes_the_log_it_was_asked_for(tmp_path: Path, workers: int) -> None:
    models = config(tmp_path, echo="python/responses_mw.testing:EchoProvider")
    options = ("--config", models, "--log", "json", "--workers", str(workers))
    file = tmp_path / "log"
    with (
        file.open("w") as stderr,
        serving(*options, folder=tmp_path, stderr=stderr, RESPONSES_MW_MASTER_KEY=CANARY) as server,
        httpx.Client(headers={"authorization": f"Bearer {CANARY}"}) as client,
    ):
        for _ in range(3):
            client.post(f"{server.url}/responses", json={"model": "echo", "input": SAID})
    told = [json.loads(line) for line in file.read_text().splitlines()]
    turns = [line for line in told if line["logger"] == "responses_mw.turns"]
    assert [line["model"] for line in turns] == ["echo"] * 3
    assert CANARY not in file.read_text()
    assert "marmalade" not in file.read_text()


def test_an_unknown_form_of_log_is_one_line() -> None:
    command = [sys.executable, "-m", "responses_mw.cli", "serve", "--log", "xml"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert found.returncode == 1
    assert found.stderr == (
        "responses-mw: 'xml' is no form of log: --log and RESPONSES_MW_LOG may be text or json\n"
    )
