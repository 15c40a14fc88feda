"""Clients that talk to a server while it is killed, and what they hold it to when it is back.

Every client keeps what it was told. Whatever it saw the end of must be there afterwards, equal and
continuable; whatever it saw begin must be there, and end.
"""

import asyncio
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from live import line
from postgres_server import execute
from victims import LEASE_S, SAVED, UNSAVED, Nursery, Victim, answer_to, asking
from websockets.exceptions import ConnectionClosed, InvalidHandshake

PHASES = (
    "before the first delta",
    "mid-stream",
    "between the save and the terminal event",
    "mid-background",
    "mid-socket",
    "before the save",
    "in a conversation",
    "anywhere",
)
RUNNING = ("queued", "in_progress")
ENDED_WITHIN_S = 5 * LEASE_S
_CUT = (httpx.TransportError, ConnectionClosed, InvalidHandshake, OSError, EOFError)

Event = dict[str, Any]
Hook = Callable[[Event], None]


@dataclass
class Tally:
    """What a run of kills came to. `losses` are sentences; there must be none."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    cut: int = 0
    losses: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills.total()} kills, {self.acknowledged} turns acknowledged, "
            f"{self.cut} cut short, {len(self.losses)} lost"
        )


@dataclass
class Turn:
    """`said` are the texts before the answer, oldest first; `ended` the response as a client was
    given it at its end."""

    said: list[str]
    id: str | None = None
    ended: Event | None = None

    @property
    def answer(self) -> str:
        return answer_to(self.said)


@dataclass
class Client:
    """One conversation, begun anew where a turn of it was cut short."""

    way: Callable[["Client", httpx.AsyncClient, Victim, Turn, Hook], Awaitable[None]]
    said: list[str] = field(default_factory=list)
    last: str | None = None
    conversation: str | None = None
    turns: list[Turn] = field(default_factory=list)

    def forget(self) -> None:
        """The next turn begins a new conversation."""
        self.said, self.last, self.conversation = [], None, None
        self.turns.clear()

    async def talk(self, victim: Victim, hook: Hook, *asked: str, turns: int = 1000) -> int:
        """Asks these, then goes on with short turns until the server is gone; how many ended."""
        ended = 0
        async with talking(victim) as http:
            try:
                for text in (*asked, *(_any_turn() for _ in range(turns))):
                    turn = Turn([*self.said, text])
                    self.turns.append(turn)
                    await self.way(self, http, victim, turn, hook)
                    assert turn.ended is not None, "a stream ended without a terminal event"
                    self.said, self.last = [*turn.said, turn.answer], turn.id
                    ended += 1
            except _CUT:
                self.said, self.last, self.conversation = [], None, None
        return ended

    def heard(self, turn: Turn, event: Event, hook: Hook) -> None:
        """Of a stream; `hook` may end the server at this very moment."""
        if event["type"] == "response.created":
            turn.id = event["response"]["id"]
        elif event["type"] in ("response.completed", "response.failed", "response.incomplete"):
            turn.ended = event["response"]
        hook(event)


def talking(victim: Victim) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=victim.url, timeout=20, trust_env=False)


def _any_turn() -> str:
    return asking(random.randint(1, 12), pause_s=random.choice((0, 0, 0.002, 0.01)))


# --- ways to ask


async def by_stream(
    client: Client, http: httpx.AsyncClient, victim: Victim, turn: Turn, hook: Hook
) -> None:
    body = {"model": "paced", "input": turn.said[-1], "stream": True, **_behind(client)}
    hook({"type": "asked"})
    async with http.stream("POST", "/responses", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for event in events_of(answer):
            client.heard(turn, event, hook)


async def by_whole(
    client: Client, http: httpx.AsyncClient, victim: Victim, turn: Turn, hook: Hook
) -> None:
    body = {"model": "paced", "input": turn.said[-1], **_behind(client)}
    answer = await http.post("/responses", json=body)
    assert answer.status_code == 200, answer.text
    turn.ended = answer.json()
    turn.id = turn.ended["id"]


async def by_background(
    client: Client, http: httpx.AsyncClient, victim: Victim, turn: Turn, hook: Hook
) -> None:
    body = {"model": "paced", "input": turn.said[-1], "background": True, **_behind(client)}
    answer = await http.post("/responses", json=body)
    assert answer.status_code == 200, answer.text
    response = answer.json()
    turn.id = response["id"]
    while response["status"] in RUNNING:
        hook({"type": "polled"})
        await asyncio.sleep(0.02)
        response = (await http.get(f"/responses/{turn.id}")).json()
    turn.ended = response


async def by_socket(
    client: Client, http: httpx.AsyncClient, victim: Victim, turn: Turn, hook: Hook
) -> None:
    async with line(victim.address, "/v1/responses") as socket:
        await socket.say(model="paced", input=turn.said[-1], **_behind(client))
        while turn.ended is None:
            client.heard(turn, await socket.event(), hook)


async def by_conversation(
    client: Client, http: httpx.AsyncClient, victim: Victim, turn: Turn, hook: Hook
) -> None:
    if client.conversation is None:
        client.conversation = (await http.post("/conversations", json={})).json()["id"]
    await by_stream(client, http, victim, turn, hook)


def _behind(client: Client) -> dict[str, str]:
    if client.conversation is not None:
        return {"conversation": client.conversation}
    return {} if client.last is None else {"previous_response_id": client.last}


async def events_of(answer: httpx.Response) -> AsyncIterator[Event]:
    async for text in answer.aiter_lines():
        if text.startswith("data: {"):
            yield json.loads(text[6:])


# --- killing


async def survive(nursery: Nursery, store: str, *, kills: int, seed: int) -> Tally:
    """Kills `kills` servers on this store, each phase in turn."""
    random.seed(seed)
    tally = Tally()
    clients = [Client(way) for way in _WAYS]
    for n in range(kills):
        phase = PHASES[n % len(PHASES)]
        before = [len(client.turns) for client in clients]
        victim = nursery.start()
        await _ready(victim)
        await _killed(nursery, victim, phase, clients)
        tally.kills[phase] += 1
        _check_file(store, tally)
        victim = nursery.start()
        await _ready(victim)
        new = [
            turn
            for count, client in zip(before, clients, strict=True)
            for turn in client.turns[count:]
        ]
        async with talking(victim) as http:
            await _check_kept(http, new, phase, tally)
        nursery.kill()
    await _check_all(nursery, store, clients, tally)
    return tally


_WAYS = (by_stream, by_whole, by_background, by_socket, by_conversation)


@dataclass(frozen=True)
class Moment:
    """Client `client` asks `asked`; when it has heard `nth` events of type `kind`, the server dies
    `after_s` later. `kind` None: it dies by itself, asked that way."""

    client: int
    asked: str
    kind: str | None
    nth: int = 1
    after_s: float = 0.0


def _moment(phase: str) -> Moment | None:
    delta, slow = "response.output_text.delta", asking(40, pause_s=0.01)
    match phase:
        case "before the first delta":
            after_s = random.uniform(0, 0.3)
            return Moment(0, asking(5, wait_s=30), "asked", after_s=after_s)
        case "mid-stream":
            return Moment(0, slow, delta, random.randint(1, 12))
        case "between the save and the terminal event":
            return Moment(0, asking(3, nonce=SAVED), None)
        case "before the save":
            return Moment(0, asking(3, nonce=UNSAVED), None)
        case "mid-background":
            return Moment(2, asking(100, pause_s=0.02), "polled", random.randint(1, 60))
        case "mid-socket":
            return Moment(3, slow, delta, random.randint(1, 12))
        case "in a conversation":
            return Moment(4, slow, delta, random.randint(1, 12))
    return None


async def _killed(nursery: Nursery, victim: Victim, phase: str, clients: list[Client]) -> None:
    """Every client talks; what one of them hears is the moment of death."""
    moment = _moment(phase)
    come = asyncio.Event()
    heard = 0

    def hook(event: Event) -> None:
        nonlocal heard
        if moment is not None and event["type"] == moment.kind:
            heard += 1
            if heard == moment.nth:
                come.set()

    talks = []
    for n, client in enumerate(clients):
        own = moment is not None and n == moment.client
        asked = [moment.asked] if own and moment is not None else []
        talks.append(asyncio.create_task(client.talk(victim, hook if own else _nothing, *asked)))
    if moment is None:
        await asyncio.sleep(random.uniform(0, 0.4))
        nursery.kill()
    elif moment.kind is None:
        assert await asyncio.to_thread(nursery.ended) == -9
    else:
        async with asyncio.timeout(20):
            await come.wait()
        await asyncio.sleep(moment.after_s)
        nursery.kill()
    await asyncio.gather(*talks)


def _nothing(_: Event) -> None:
    pass


async def _ready(victim: Victim) -> None:
    async with talking(victim) as http:
        answer = await http.get("/health/ready")
    assert answer.status_code == 200, answer.text


# --- checking


async def _check_kept(http: httpx.AsyncClient, turns: list[Turn], phase: str, tally: Tally) -> None:
    """Of the turns of one round."""
    for turn in turns:
        if turn.id is None:
            continue
        answer = await http.get(f"/responses/{turn.id}")
        if answer.status_code != 200:
            tally.losses.append(f"{turn.id} is {answer.status_code} after a kill {phase}")
            continue
        if turn.ended is None:
            tally.cut += 1
            continue
        tally.acknowledged += 1
        if answer.json() != turn.ended or text_of(turn.ended) != turn.answer:
            tally.losses.append(f"{turn.id} has changed after a kill {phase}")
    for turn in [turn for turn in turns if turn.ended is not None][-3:]:
        tally.losses += await _continued(http, turn)
    saved = [turn for turn in turns if json.loads(turn.said[-1])["nonce"] == SAVED]
    for turn in saved:
        if turn.id is not None and text_of(await _get(http, turn.id)) != turn.answer:
            tally.losses.append(f"{turn.id} was saved and is not whole")


async def _check_all(nursery: Nursery, store: str, clients: list[Client], tally: Tally) -> None:
    """At last: everything that began has ended, whole or with a part of what it was to say."""
    victim = nursery.start()
    await _ready(victim)
    deadline = time.monotonic() + ENDED_WITHIN_S
    async with talking(victim) as http:
        for turn in [turn for client in clients for turn in client.turns if turn.id is not None]:
            response = await _get(http, turn.id)
            while response["status"] in RUNNING and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
                response = await _get(http, turn.id)
            if response["status"] in RUNNING:
                tally.losses.append(f"{turn.id} never ended")
            if not turn.answer.startswith(text_of(response)):
                tally.losses.append(f"{turn.id} says what it was not asked for")
            if turn.ended is not None and response != turn.ended:
                tally.losses.append(f"{turn.id} has changed since")
            if turn.ended is None:
                more = {"model": "paced", "input": asking(1), "previous_response_id": turn.id}
                if (await http.post("/responses", json=more)).status_code != 200:
                    tally.losses.append(f"{turn.id} cannot be continued")
        # Those whose client never learned their id have their lease, too.
        while left := await stranded(store):
            if time.monotonic() > deadline:
                tally.losses += [f"{id} is running past its lease" for id in left]
                break
            await asyncio.sleep(0.1)
    nursery.kill()


async def _continued(http: httpx.AsyncClient, turn: Turn) -> list[str]:
    text = asking(2)
    body = {"model": "paced", "input": text, "previous_response_id": turn.id}
    answer = await http.post("/responses", json=body)
    if answer.status_code != 200:
        return [f"{turn.id} cannot be continued: {answer.text}"]
    if text_of(answer.json()) != answer_to([*turn.said, turn.answer, text]):
        return [f"{turn.id} was continued with another history"]
    return []


async def _get(http: httpx.AsyncClient, id: str | None) -> Event:
    answer = await http.get(f"/responses/{id}")
    assert answer.status_code == 200, answer.text
    response: Event = answer.json()
    return response


def text_of(response: Event) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


def _check_file(store: str, tally: Tally) -> None:
    """A database that a killed process left opens without repair."""
    if store.startswith("sqlite:"):
        with sqlite3.connect(urlsplit(store).path[1:]) as db:
            (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
        db.close()
        if verdict != "ok":
            tally.losses.append(f"the file is damaged: {verdict}")


async def stranded(store: str) -> list[str]:
    """The ids that still run. Nobody generates by then: their lease is over, or will be."""
    question = "SELECT id FROM rmw_response WHERE status IN ('queued', 'in_progress')"
    if store.startswith("sqlite:"):
        with sqlite3.connect(urlsplit(store).path[1:]) as db:
            rows = db.execute(question).fetchall()
        db.close()
        return [id for (id,) in rows]
    return [row["id"] for row in await asyncio.to_thread(execute, store, question)]
