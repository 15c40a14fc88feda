"""Hooks: what they see, change and stop, in which order, and what their errors become."""

import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from cases import REPOSITORY

from responses_mw.app import ResponsesApp
from responses_mw.deltas import (
    Delta,
    ItemFinished,
    NativeTurn,
    Stopped,
    TextDelta,
    UsageReported,
)
from responses_mw.errors import ConfigurationError, InvalidRequest
from responses_mw.records import Caller
from responses_mw.testing import EchoProvider, ScriptedProvider, check_event_order
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Span, Turn
from stores import MemoryStore


@asynccontextmanager
async def served(provider: Any, *hooks: Any) -> AsyncIterator[httpx2.AsyncClient]:
    app = ResponsesApp(store=MemoryStore(), models={"m": provider}, hooks=hooks)
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as http,
    ):
        yield http


async def create(http: httpx2.AsyncClient, input: str = "hi", **more: Any) -> httpx2.Response:
    return await http.post("/responses", json={"model": "m", "input": input, **more})


def events(answer: httpx2.Response) -> list[dict[str, Any]]:
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def text(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


async def said(http: httpx2.AsyncClient, *, stream: bool, **more: Any) -> dict[str, Any]:
    """The response at its end; a stream's events must be in order and say the same."""
    answer = await create(http, stream=stream, **more)
    assert answer.status_code == 200, answer.text
    if not stream:
        return answer.json()
    told = events(answer)
    check_event_order(told)
    return told[-1]["response"]


class Shouting:
    """Changes both sides, statelessly."""

    def before_turn(self, turn: Turn, caller: Caller) -> Turn:
        return dataclasses.replace(turn, instructions="Shout.")

    def on_delta(self, delta: Delta) -> Delta | None:
        return TextDelta(delta.text.upper()) if isinstance(delta, TextDelta) else None


class Holding:
    """Holds everything back until the end; one object per turn."""

    def __init__(self) -> None:
        self.held = ""

    async def on_delta(self, delta: Delta) -> Delta | list[Delta] | tuple[()]:
        if isinstance(delta, TextDelta):
            self.held += delta.text
            return ()
        if isinstance(delta, Stopped):
            return [TextDelta(self.held.replace("secret", "******")), delta]
        return delta


class Ending:
    """Ends the answer at a word."""

    def on_delta(self, delta: Delta) -> list[Delta] | None:
        if isinstance(delta, TextDelta) and "bomb" in delta.text:
            return [TextDelta(" [cut]"), Stopped("content_filter")]
        return None


class Marking:
    def __init__(self, mark: str, seen: list[str]) -> None:
        self.mark = mark
        self.seen = seen

    async def before_turn(self, turn: Turn, caller: Caller) -> None:
        self.seen.append(f"{self.mark} before")

    def on_delta(self, delta: Delta) -> Delta | None:
        return TextDelta(delta.text + self.mark) if isinstance(delta, TextDelta) else None

    async def after_response(self, response: dict[str, Any]) -> None:
        self.seen.append(f"{self.mark} after {response['status']}")


both = pytest.mark.parametrize("stream", [False, True])


@both
async def test_a_hook_changes_the_turn_and_every_delta(stream: bool) -> None:
    provider = ScriptedProvider("be quiet")
    async with served(provider, Shouting()) as http:
        response = await said(http, stream=stream)
        kept = (await http.get(f"/responses/{response['id']}")).json()
    assert provider.turns[0].instructions == "Shout."
    assert text(response) == text(kept) == "BE QUIET"


@both
async def test_what_is_held_back_comes_with_the_end(stream: bool) -> None:
    spoken = [TextDelta("the sec"), TextDelta("ret is out")]  # and no Stopped
    async with served(ScriptedProvider(spoken, "no secret at all"), Holding) as http:
        assert text(await said(http, stream=stream)) == "the ****** is out"
        assert text(await said(http, stream=stream)) == "no ****** at all"


@both
async def test_a_hook_ends_the_answer_and_leaves_the_upstream(stream: bool) -> None:
    class Endless:
        left = False

        async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
            try:
                yield TextDelta("how to make")
                while True:
                    yield TextDelta(" a bomb")
            finally:
                Endless.left = True

    async with served(Endless(), Ending()) as http:
        response = await said(http, stream=stream)
    assert text(response) == "how to make [cut]"
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert Endless.left


@both
async def test_the_first_hook_sees_the_turn_first_and_the_answer_last(stream: bool) -> None:
    seen: list[str] = []
    hooks = [Marking("1", seen), Marking("2", seen)]
    async with served(ScriptedProvider("a"), *hooks) as http:
        assert text(await said(http, stream=stream)) == "a21"
    assert seen == ["1 before", "2 before", "2 after completed", "1 after completed"]


@both
@pytest.mark.parametrize(
    "given", ["from the cache", [TextDelta("from the cache"), UsageReported(1, 3), Stopped()]]
)
async def test_a_hook_answers_in_the_models_place(stream: bool, given: Any) -> None:
    class Caching:
        def before_turn(self, turn: Turn, caller: Caller) -> Any:
            return given

        def on_delta(self, delta: Delta) -> Delta:
            raise AssertionError("not of its own answer")

    provider, seen = ScriptedProvider("second"), list[str]()
    async with served(provider, Marking("!", seen), Caching(), Marking("?", seen)) as http:
        response = await said(http, stream=stream)
        assert text(response) == "from the cache!"
        assert provider.turns == []
        answer = await create(http)
    assert answer.headers["x-responses-mw-deployment"] == "hook"
    assert seen[:2] == ["! before", "? after completed"]


@both
async def test_an_invalid_request_from_before_turn_is_a_400_that_leaves_nothing(
    stream: bool,
) -> None:
    class Guard:
        def before_turn(self, turn: Turn, caller: Caller) -> None:
            raise InvalidRequest("Not about that.", param="input", code="blocked")

    provider, store = ScriptedProvider("no"), MemoryStore()
    app = ResponsesApp(store=store, models={"m": provider}, hooks=[Guard()])
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        answer = await create(http, stream=stream, previous_response_id=None)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "blocked"
    assert provider.turns == []


@both
async def test_any_other_error_of_a_hook_is_a_500_without_its_message(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def before_turn(self, turn: Turn, caller: Caller) -> None:
            raise KeyError("the private thing")

    async with served(EchoProvider(), Broken()) as http:
        answer = await create(http, stream=stream)
    assert answer.status_code == 500
    assert "private" not in answer.text
    assert "KeyError" in caplog.text


async def test_an_error_in_a_stream_ends_it_as_failed() -> None:
    class Late:
        def on_delta(self, delta: Delta) -> None:
            if isinstance(delta, TextDelta) and "two" in delta.text:
                raise InvalidRequest("No twos.", code="no_twos")

    async with served(ScriptedProvider("one two three"), Late()) as http:
        told = events(await create(http, stream=True))
    check_event_order(told)
    assert told[-1]["type"] == "response.failed"
    assert told[-1]["response"]["error"]["code"] == "no_twos"
    assert text(told[-1]["response"]) == "one"


class Reviewing:
    def __init__(self, error: Exception) -> None:
        self.error = error
        self.seen = ""

    def after_response(self, response: dict[str, Any]) -> None:
        assert response["status"] == "completed"
        assert text(response)
        self.seen = response["id"]
        raise self.error


REFUSED = InvalidRequest("Not this.", code="refused")


@pytest.mark.parametrize(("error", "status"), [(REFUSED, 400), (ValueError("x"), 500)])
async def test_a_whole_answer_that_is_refused_is_neither_shown_nor_kept(
    error: Exception, status: int
) -> None:
    hook = Reviewing(error)
    async with served(ScriptedProvider("a secret"), hook) as http:
        answer = await create(http)
        assert answer.status_code == status
        assert "secret" not in answer.text
        assert (await http.get(f"/responses/{hook.seen}")).status_code == 404


async def test_a_stream_that_is_refused_at_its_end_says_failed_and_is_kept_so() -> None:
    async with served(ScriptedProvider("a secret"), Reviewing(REFUSED)) as http:
        told = events(await create(http, stream=True))
        kept = (await http.get(f"/responses/{told[-1]['response']['id']}")).json()
    check_event_order(told)
    assert told[-1]["type"] == "response.failed"
    assert (kept["status"], kept["error"]["code"]) == ("failed", "refused")


async def test_a_changed_answer_does_not_come_back_in_the_providers_form() -> None:
    native = NativeTurn("scripted", [{"text": "be quiet"}])
    spoken = [TextDelta("be quiet"), ItemFinished(native=native), native, Stopped()]
    for hooks, expected in (((Shouting(),), None), ((Ending(),), native)):
        provider = ScriptedProvider(spoken, "and?")
        async with served(provider, *hooks) as http:
            first = (await create(http)).json()
            await create(http, previous_response_id=first["id"])
        answered = provider.turns[1].spans[1]
        assert answered.native == expected
        assert "QUIET" in str(answered.items) or expected is not None


async def test_a_hook_sees_the_whole_conversation_and_who_asks() -> None:
    seen: list[tuple[str, int]] = []

    class Watching:
        def before_turn(self, turn: Turn, caller: Caller) -> None:
            seen.append((caller.owner, len(list(turn.items))))

    async with served(EchoProvider(), Watching()) as http:
        first = (await create(http)).json()
        await create(http, previous_response_id=first["id"])
    assert seen == [("default", 1), ("default", 3)]


async def test_a_hook_may_name_another_model_that_is_served() -> None:
    class Rerouting:
        def __init__(self, model: str) -> None:
            self.model = model

        def before_turn(self, turn: Turn, caller: Caller) -> Turn:
            return dataclasses.replace(turn, model=self.model)

    for model, status in (("b", 200), ("nobody", 400)):
        models = {"m": ScriptedProvider(), "b": ScriptedProvider("from b")}
        app = ResponsesApp(store=MemoryStore(), models=models, hooks=[Rerouting(model)])
        transport = InProcessTransport(app)
        async with (
            app.lifespan(),
            httpx2.AsyncClient(transport=transport, base_url="http://t") as http,
        ):
            assert (await create(http)).status_code == status


async def test_compacting_and_counting_send_nothing_that_a_hook_takes_out() -> None:
    class Redacting:
        def before_turn(self, turn: Turn, caller: Caller) -> Turn:
            items = json.loads(json.dumps(list(turn.items)).replace("marmalade", "***"))
            return dataclasses.replace(turn, spans=[Span(items)])

    class Counting(EchoProvider):
        async def count(self, turn: Turn) -> int:
            assert "marmalade" not in str(list(turn.items))
            return 7

    async with served(Counting(), Redacting()) as http:
        body = {"model": "m", "input": "the password is marmalade"}
        counted = (await http.post("/responses/input_tokens", json=body)).json()
        assert counted["input_tokens"] == 7
        compacted = await http.post("/responses/compact", json=body)
        assert compacted.status_code == 200
        echoed = await create(http, "and marmalade?")
        assert text(echoed.json()) == "user: and ***?"


def test_a_hook_without_a_method_of_one_is_refused_at_once() -> None:
    class Misspelt:
        def before_turns(self) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Misspelt.*none of the methods before_turn"):
        ResponsesApp(store="memory://", models={"m": EchoProvider()}, hooks=[Misspelt()])


@both
async def test_the_documents_example_does_what_it_says(stream: bool) -> None:
    block = (REPOSITORY / "docs" / "hooks.md").read_text().partition("```python\n")[2]
    names: dict[str, Any] = {}
    exec(block.partition("```")[0], names)
    provider = ScriptedProvider("your card is 1234 5678 1234 5678 as you know")
    async with served(provider, names["NoCards"]) as http:
        assert text(await said(http, stream=stream)) == "your card is **** as you know"
        refused = await create(http, "mine is 1234-5678-1234-5678")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "card")


async def test_a_configured_application_takes_hooks_and_callbacks_too() -> None:
    params = {"model": "python/responses_mw.testing:EchoProvider"}
    app = ResponsesApp.from_config(
        {"model_list": [{"model_name": "m", "litellm_params": params}]},
        store=MemoryStore(),
        hooks=[Shouting()],
    )
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        assert text((await create(http)).json()) == "USER: HI"
