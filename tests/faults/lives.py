"""Random lives of responses and conversations through the API, and the model that says what must
come of them.

The model answers with a digest of everything it is told, so a history that is torn, mixed up or
another owner's is seen in the next answer.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx2
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from kills import text_of
from victims import Paced, answer_to, asking

from responses_mw.app import ResponsesApp
from responses_mw.deltas import Delta, TextDelta, UpstreamInfo
from responses_mw.errors import UpstreamUnavailable
from responses_mw.settings import Settings
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn
from stores import open_store

OWNERS = ("ann", "bob")
RUNNING = ("queued", "in_progress")
HALF = "half"
ROOTS = 3
"""Chains and conversations of one life: few, so that much happens to each."""

Event = dict[str, Any]


def live(url: str, *, lives: int, steps: int, the_same: bool) -> None:
    """`the_same`: those of every other run, too. What fails is not made smaller: with real stores
    that takes minutes, and the steps are printed."""
    run_state_machine_as_test(
        lambda: Lives(url),
        settings=settings(
            max_examples=lives,
            stateful_step_count=steps,
            derandomize=the_same,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


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


class Lives(RuleBasedStateMachine):
    """On the store of this URL; other lives may go on in it at the same time."""

    ids, lines = Bundle("ids"), Bundle("lines")
    strange = st.integers(0, 7).map(lambda n: n == 0)
    """Whether somebody asks whose it is not."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.known: dict[str, Known] = {}
        self.conversations: dict[str, Line] = {}
        self.chance = random.Random(0)
        self.runner = asyncio.Runner()
        self.url = url

    @initialize(kept=st.sampled_from((0, 1 << 20)))
    def open(self, kept: int) -> None:
        """`kept`: bytes of histories that need not be read again."""
        self.app = ResponsesApp(
            store=open_store(self.url),
            models={"paced": Paced(), "broken": Broken()},
            owner=lambda request: request.headers["authorization"],
            settings=Settings(drain_s=2, history_cache_bytes=kept),
        )
        self._run(self._open())

    async def _open(self) -> None:
        await self.app.open()
        transport = InProcessTransport(self.app)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://test", timeout=20)

    def teardown(self) -> None:
        """Also where something failed before: what it leaves open would be a warning."""
        self._run(self._check_all())
        self._run(self._close())
        self.runner.close()

    async def _close(self) -> None:
        await self.http.aclose()
        await self.app.aclose()

    # --- what happens

    @precondition(lambda self: sum(it.parent is None for it in self.known.values()) < ROOTS)
    @rule(target=ids, owner=st.sampled_from(OWNERS), stream=st.booleans())
    def ask(self, owner: str, stream: bool) -> str | None:
        return self._run(self._ask(owner, None, stream=stream))

    @rule(target=ids, parent=ids, strange=strange, stream=st.booleans())
    def go_on(self, parent: str | None, strange: bool, stream: bool) -> str | None:
        owner = self._who(parent, strange=strange)
        return self._run(self._ask(owner, parent, stream=stream))

    @rule(target=ids, parent=ids, strange=strange)
    def break_off(self, parent: str | None, strange: bool) -> str | None:
        owner = self._who(parent, strange=strange)
        return self._run(self._ask(owner, parent, model="broken", stream=True))

    @rule(target=ids, parent=ids, strange=strange, words=st.integers(0, 5))
    def cancel(self, parent: str | None, strange: bool, words: int) -> str | None:
        owner = self._who(parent, strange=strange)
        return self._run(self._cancel(owner, parent, after_s=0.003 * words))

    @rule(id=ids, strange=strange)
    def delete(self, id: str | None, strange: bool) -> None:
        if id is not None:
            self._run(self._delete(id, self._who(id, strange=strange)))

    @rule(id=ids)
    def keep_one(self, id: str | None) -> None:
        """Deletes every other response that grew from the same root: its chain is then kept for
        itself alone."""
        if id is not None:
            root = self._root(id)
            others = [each for each in self.known if each != id and self._root(each) == root]
            for each in others:
                self._run(self._delete(each, self.known[each].owner))

    @rule(id=ids, strange=strange, after=st.integers(-1, 12))
    def resume(self, id: str | None, strange: bool, after: int) -> None:
        if id is not None:
            self._run(self._resume(id, self._who(id, strange=strange), after))

    @rule(id=ids, clients=st.integers(2, 4), delete=st.booleans())
    def race(self, id: str | None, clients: int, delete: bool) -> None:
        """Many continue one response; one may delete it meanwhile, and one tell it again."""
        if id is None or self.known[id].gone:
            return
        owner = self.known[id].owner
        racing: list[Coroutine[Any, Any, object]] = [
            self._ask(owner, id, stream=bool(n % 2), deleted_meanwhile=delete)
            for n in range(clients)
        ]
        if delete:
            racing.insert(clients // 2, self._delete(id, owner))
        else:
            racing.append(self._resume(id, owner, 3))
        self._run(self._together(racing))

    @precondition(lambda self: len(self.conversations) < ROOTS)
    @rule(target=lines, owner=st.sampled_from(OWNERS))
    def begin(self, owner: str) -> str:
        return self._run(self._begin(owner))

    @rule(target=ids, line=lines, strange=strange, stream=st.booleans())
    def talk(self, line: str, strange: bool, stream: bool) -> str | None:
        return self._run(self._talk(line, self._whose(line, strange=strange), stream=stream))

    @rule(line=lines, strange=strange)
    def post(self, line: str, strange: bool) -> None:
        self._run(self._post(line, self._whose(line, strange=strange)))

    @rule(line=lines, clients=st.integers(2, 3))
    def talk_at_once(self, line: str, clients: int) -> None:
        self._run(self._talk_at_once(line, clients))

    @rule(line=lines, strange=strange)
    def drop(self, line: str, strange: bool) -> None:
        self._run(self._drop(line, self._whose(line, strange=strange)))

    def _root(self, id: str) -> str:
        while (parent := self.known[id].parent) is not None:
            id = parent
        return id

    def _who(self, id: str | None, *, strange: bool) -> str:
        return _other(self.known[id].owner if id is not None else OWNERS[0], strange=strange)

    def _whose(self, line: str, *, strange: bool) -> str:
        return _other(self.conversations[line].owner, strange=strange)

    # --- responses

    async def _ask(
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
        text = asking(2, nonce=f"n{self.chance.random()}")
        body = {"model": model, "input": text, "stream": stream, "previous_response_id": parent}
        there = self._there(parent, owner)
        answer = await self.http.post("/responses", json=body, headers=_as(owner))
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

    async def _cancel(self, owner: str, parent: str | None, *, after_s: float) -> str | None:
        said = [] if parent is None else self.known[parent].said
        text = asking(4, pause_s=0.002, nonce=f"n{self.chance.random()}")
        body = {"model": "paced", "input": text, "background": True, "previous_response_id": parent}
        answer = await self.http.post("/responses", json=body, headers=_as(owner))
        if not self._there(parent, owner):
            assert answer.status_code == 400
            return None
        id = answer.json()["id"]
        await asyncio.sleep(after_s)
        answer = await self.http.post(f"/responses/{id}/cancel", headers=_as(owner))
        response = answer.json()
        assert response["status"] in ("cancelled", "completed"), response
        assert answer_to([*said, text]).startswith(text_of(response))
        return self._remember(owner, [*said, text], response)

    async def _delete(self, id: str, owner: str) -> None:
        there = self._there(id, owner)
        answer = await self.http.delete(f"/responses/{id}", headers=_as(owner))
        assert answer.status_code == (200 if there else 404)
        if there:
            self.known[id].gone = True

    async def _resume(self, id: str, owner: str, after: int) -> None:
        params = {"stream": "true", **({} if after < 0 else {"starting_after": str(after)})}
        answer = await self.http.get(f"/responses/{id}", params=params, headers=_as(owner))
        if not self._there(id, owner):
            assert answer.status_code == 404
            return
        numbers = [event["sequence_number"] for event in _events(answer.text)]
        assert numbers == list(range(after + 1, after + 1 + len(numbers)))
        if numbers and self.known[id].response["status"] != "cancelled":
            assert _ended(answer.text) == self.known[id].response

    def _there(self, id: str | None, owner: str) -> bool:
        return id is None or (self.known[id].owner == owner and not self.known[id].gone)

    def _remember(self, owner: str, said: list[str], response: Event) -> str:
        answered = [text_of(response)] if response["output"] else []
        parent = response["previous_response_id"]
        self.known[response["id"]] = Known(owner, [*said, *answered], response, parent)
        id: str = response["id"]
        return id

    async def _together(self, racing: list[Coroutine[Any, Any, object]]) -> None:
        await asyncio.gather(*racing)

    # --- conversations

    async def _begin(self, owner: str) -> str:
        answer = await self.http.post("/conversations", json={}, headers=_as(owner))
        id: str = answer.json()["id"]
        self.conversations[id] = Line(owner)
        return id

    async def _talk(self, line: str, owner: str, *, stream: bool) -> str | None:
        it, text = self.conversations[line], asking(1, nonce=f"n{self.chance.random()}")
        body = {"model": "paced", "input": text, "stream": stream, "conversation": line}
        answer = await self.http.post("/responses", json=body, headers=_as(owner))
        if it.gone or it.owner != owner:
            assert answer.status_code in (400, 404), answer.text
            return None
        assert answer.status_code == 200, answer.text
        response = _ended(answer.text) if stream else answer.json()
        assert text_of(response) == answer_to([*it.said, text])
        it.said += [text, text_of(response)]
        return self._remember(owner, it.said[:-1], response)

    async def _talk_at_once(self, line: str, clients: int) -> None:
        """They are answered one behind the other, in some order."""
        it = self.conversations[line]
        if it.gone:
            return
        texts = [asking(1, nonce=f"n{self.chance.random()}") for _ in range(clients)]
        answers = await asyncio.gather(
            *(
                self.http.post(
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

    async def _post(self, line: str, owner: str) -> None:
        it, text = self.conversations[line], f"n{self.chance.random()}"
        items = [{"type": "message", "role": "user", "content": text}]
        url = f"/conversations/{line}/items"
        answer = await self.http.post(url, json={"items": items}, headers=_as(owner))
        if it.gone or it.owner != owner:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200, answer.text
        it.said.append(text)

    async def _drop(self, line: str, owner: str) -> None:
        it = self.conversations[line]
        answer = await self.http.delete(f"/conversations/{line}", headers=_as(owner))
        there = it.owner == owner and not it.gone
        assert answer.status_code == (200 if there else 404)
        it.gone = it.gone or there

    # --- at the end

    async def _check_all(self) -> None:
        for id, it in self.known.items():
            for owner in OWNERS:
                answer = await self.http.get(f"/responses/{id}", headers=_as(owner))
                if self._there(id, owner):
                    assert answer.json() == it.response
                else:
                    assert answer.status_code == 404
        for id in [id for id, it in self.known.items() if not it.gone]:
            await self._ask(self.known[id].owner, id, stream=False)

    def _run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(doing)


def _other(owner: str, *, strange: bool) -> str:
    return OWNERS[1 - OWNERS.index(owner)] if strange else owner


def _as(owner: str) -> dict[str, str]:
    return {"authorization": owner}


def _events(stream: str) -> list[Event]:
    return [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]


def _ended(stream: str) -> Event:
    response: Event = _events(stream)[-1]["response"]
    return response
