"""An application, its clients' requests, and the model that says what must come of each.

The provider answers with a digest of everything it is told, so a history that is torn, mixed up or
another owner's is seen in the next answer.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
from kills import text_of
from victims import Paced, answer_to, asking

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, TextDelta, UpstreamInfo
from responses_mw.errors import UpstreamUnavailable
from responses_mw.settings import Settings
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn
from stores import SessionStore

OWNERS = ("ann", "bob")
HALF = "half"

Event = dict[str, Any]


class Broken:
    """Says half of something."""

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        yield UpstreamInfo()
        yield TextDelta(HALF)
        raise UpstreamUnavailable("the line went dead")


@dataclass
class Known:
    """`said` are the texts of the chain up to its end; `response` what a client was told last."""

    owner: str
    said: list[str]
    response: Event
    parent: str | None = None
    gone: bool = False


@dataclass
class Line:
    """A conversation."""

    owner: str
    said: list[str] = field(default_factory=list)
    gone: bool = False


class House:
    """Every method asks for one thing and holds the answer to the model. `kept`: bytes of histories
    that need not be read again."""

    def __init__(self, store: SessionStore, *, kept: int = 1 << 20) -> None:
        self.known: dict[str, Known] = {}
        self.conversations: dict[str, Line] = {}
        self._chance = random.Random(0)
        self._app = ResponsesApp(
            store=store,
            models={"paced": Paced(), "broken": Broken()},
            owner=lambda request: request.headers["authorization"],
            settings=Settings(drain_s=2, history_cache_bytes=kept),
        )
        self._http = httpx2.AsyncClient(
            transport=InProcessTransport(self._app), base_url="http://test", timeout=30
        )

    @property
    def roots(self) -> int:
        """How many chains were begun."""
        return sum(it.parent is None for it in self.known.values())

    async def open(self) -> None:
        await self._app.open()

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._app.aclose()

    # --- responses

    async def ask(
        self,
        owner: str,
        parent: str | None,
        *,
        model: str = "paced",
        stream: bool,
        deleted_meanwhile: bool = False,
    ) -> str | None:
        """The new response's id; None where there must not be one."""
        said = [] if parent is None else self.known[parent].said
        text = asking(2, nonce=f"n{self._chance.random()}")
        body = {"model": model, "input": text, "stream": stream, "previous_response_id": parent}
        there = self.there(parent, owner)
        answer = await self._http.post("/responses", json=body, headers=_as(owner))
        if answer.status_code == 400 and (deleted_meanwhile or not there):
            assert answer.json()["error"]["code"] == "previous_response_not_found"
            return None
        assert answer.status_code == 200, answer.text
        assert there
        response = _ended(answer.text) if stream else answer.json()
        if model == "broken":
            assert (response["status"], text_of(response)) == ("failed", HALF)
        else:
            assert text_of(response) == answer_to([*said, text])
        return self._remember(owner, [*said, text], response)

    async def cancel(self, owner: str, parent: str | None, *, after_s: float) -> str | None:
        said = [] if parent is None else self.known[parent].said
        text = asking(4, pause_s=0.002, nonce=f"n{self._chance.random()}")
        body = {"model": "paced", "input": text, "background": True, "previous_response_id": parent}
        answer = await self._http.post("/responses", json=body, headers=_as(owner))
        if not self.there(parent, owner):
            assert answer.status_code == 400
            return None
        id = answer.json()["id"]
        await asyncio.sleep(after_s)
        answer = await self._http.post(f"/responses/{id}/cancel", headers=_as(owner))
        response = answer.json()
        assert response["status"] in ("cancelled", "completed"), response
        assert answer_to([*said, text]).startswith(text_of(response))
        return self._remember(owner, [*said, text], response)

    async def delete(self, id: str, owner: str) -> None:
        there = self.there(id, owner)
        answer = await self._http.delete(f"/responses/{id}", headers=_as(owner))
        assert answer.status_code == (200 if there else 404)
        if there:
            self.known[id].gone = True

    async def resume(self, id: str, owner: str, after: int) -> None:
        params = {"stream": "true", **({} if after < 0 else {"starting_after": str(after)})}
        answer = await self._http.get(f"/responses/{id}", params=params, headers=_as(owner))
        if not self.there(id, owner):
            assert answer.status_code == 404
            return
        numbers = [event["sequence_number"] for event in _events(answer.text)]
        assert numbers == list(range(after + 1, after + 1 + len(numbers)))
        if numbers and self.known[id].response["status"] != "cancelled":
            assert _ended(answer.text) == self.known[id].response

    def there(self, id: str | None, owner: str) -> bool:
        return id is None or (self.known[id].owner == owner and not self.known[id].gone)

    def _remember(self, owner: str, said: list[str], response: Event) -> str:
        answered = [text_of(response)] if response["output"] else []
        parent = response["previous_response_id"]
        self.known[response["id"]] = Known(owner, [*said, *answered], response, parent)
        id: str = response["id"]
        return id

    # --- conversations

    async def begin(self, owner: str) -> str:
        answer = await self._http.post("/conversations", json={}, headers=_as(owner))
        id: str = answer.json()["id"]
        self.conversations[id] = Line(owner)
        return id

    async def talk(self, line: str, owner: str, *, stream: bool) -> str | None:
        it, text = self.conversations[line], asking(1, nonce=f"n{self._chance.random()}")
        body = {"model": "paced", "input": text, "stream": stream, "conversation": line}
        answer = await self._http.post("/responses", json=body, headers=_as(owner))
        if it.gone or it.owner != owner:
            assert answer.status_code in (400, 404), answer.text
            return None
        assert answer.status_code == 200, answer.text
        response = _ended(answer.text) if stream else answer.json()
        assert text_of(response) == answer_to([*it.said, text])
        it.said += [text, text_of(response)]
        return self._remember(owner, it.said[:-1], response)

    async def talk_at_once(self, line: str, clients: int) -> None:
        """They are answered one behind the other, in some order."""
        it = self.conversations[line]
        if it.gone:
            return
        texts = [asking(1, nonce=f"n{self._chance.random()}") for _ in range(clients)]
        answers = await asyncio.gather(
            *(
                self._http.post(
                    "/responses",
                    json={"model": "paced", "input": text, "conversation": line},
                    headers=_as(it.owner),
                )
                for text in texts
            )
        )
        said = {text_of(answer.json()): text for answer, text in zip(answers, texts, strict=True)}
        while said:
            (answer,) = [told for told, text in said.items() if told == answer_to([*it.said, text])]
            it.said += [said.pop(answer), answer]

    async def post(self, line: str, owner: str) -> None:
        it, text = self.conversations[line], f"n{self._chance.random()}"
        items = [{"type": "message", "role": "user", "content": text}]
        url = f"/conversations/{line}/items"
        answer = await self._http.post(url, json={"items": items}, headers=_as(owner))
        if it.gone or it.owner != owner:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200, answer.text
        it.said.append(text)

    async def drop(self, line: str, owner: str) -> None:
        it = self.conversations[line]
        answer = await self._http.delete(f"/conversations/{line}", headers=_as(owner))
        there = it.owner == owner and not it.gone
        assert answer.status_code == (200 if there else 404)
        it.gone = it.gone or there

    # --- at the end

    async def check_all(self) -> None:
        for id, it in self.known.items():
            for owner in OWNERS:
                answer = await self._http.get(f"/responses/{id}", headers=_as(owner))
                if self.there(id, owner):
                    assert answer.json() == it.response
                else:
                    assert answer.status_code == 404
        for id in [id for id, it in self.known.items() if not it.gone]:
            await self.ask(self.known[id].owner, id, stream=False)


def _as(owner: str) -> dict[str, str]:
    return {"authorization": owner}


def _events(stream: str) -> list[Event]:
    return [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]


def _ended(stream: str) -> Event:
    response: Event = _events(stream)[-1]["response"]
    return response
