"""`truncation`: what is left out of a conversation that is too long, and what never is."""

import random
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from responses_mw.app import ResponsesApp
from responses_mw.deltas import (
    Delta,
    NativeTurn,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
)
from responses_mw.errors import UpstreamRefused, UpstreamUnavailable
from responses_mw.exchanges import Droppable, joined, newest, pieces_of
from responses_mw.router import Deployment
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.testing.providers import spoken, text_of
from responses_mw.turn import Item, Span, Turn
from stores import MemoryStore

TOO_LONG = UpstreamRefused(
    "prompt is too long",
    status=400,
    type="invalid_request_error",
    code="context_length_exceeded",
    param="input",
)


def said(role: str, text: str) -> Item:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def user(text: str) -> Item:
    return said("user", text)


def model(text: str) -> Item:
    return said("assistant", text)


def call(id: str) -> Item:
    return {"type": "function_call", "call_id": id, "name": "look", "arguments": "{}"}


def output(id: str) -> Item:
    return {"type": "function_call_output", "call_id": id, "output": f"found {id}"}


def labels(spans: list[Span]) -> list[str]:
    return [
        f"{item['type'].removeprefix('function_')} {item['call_id']}"
        if "call_id" in item
        else text_of(item)
        for span in spans
        for item in span.items
    ]


def every_cut(*items: Item) -> list[list[str]]:
    droppable = Droppable.of([Span(items)])
    return [labels(droppable.without(n)) for n in range(len(droppable.units) + 1)]


# --- what can be left out


def test_whole_exchanges_go_oldest_first_and_the_newest_question_stays() -> None:
    cuts = every_cut(user("1"), model("one"), user("2"), model("two"), user("3"))
    assert cuts == [["1", "one", "2", "two", "3"], ["2", "two", "3"], ["3"]]


def test_a_call_goes_with_its_output() -> None:
    cuts = every_cut(user("1"), call("a"), output("a"), model("one"), user("2"))
    assert cuts[1:] == [["2"]]


def test_an_output_that_comes_after_the_next_question_keeps_both_exchanges_together() -> None:
    cuts = every_cut(
        user("1"),
        call("a"),
        user("2"),
        output("a"),
        model("both"),
        user("3"),
        model("x"),
        user("4"),
    )
    assert cuts[1:] == [["3", "x", "4"], ["4"]]


def test_instructions_within_the_conversation_stay() -> None:
    cuts = every_cut(
        said("developer", "rule"), user("1"), model("one"), said("system", "more"), user("2")
    )
    assert cuts[1:] == [["rule", "more", "2"]]


def test_of_a_long_loop_the_oldest_steps_go_and_the_question_stays() -> None:
    cuts = every_cut(
        user("0"), model("zero"),
        user("1"), call("a"), output("a"), call("b"), output("b"), call("c"), output("c"),
    )  # fmt: skip
    assert cuts[1:] == [
        ["1", "call a", "call_output a", "call b", "call_output b", "call c", "call_output c"],
        ["1", "call b", "call_output b", "call c", "call_output c"],
        ["1", "call c", "call_output c"],
    ]


def test_parallel_calls_are_one_step() -> None:
    cuts = every_cut(
        user("1"), call("a"), call("b"), output("a"), output("b"), call("c"), output("c")
    )
    assert cuts[1:] == [["1", "call c", "call_output c"]]


def test_questions_in_a_row_are_one_exchange() -> None:
    assert every_cut(user("1"), user("2"), model("x"), user("3"))[1:] == [["3"]]


@pytest.mark.parametrize(
    "items",
    [[], [user("1")], [model("x")], [said("system", "rule")], [user("1"), call("a"), output("a")]],
    ids=str,
)
def test_where_there_is_nothing_old_nothing_can_go(items: list[Item]) -> None:
    assert Droppable.of([Span(items)]).units == []


def test_an_answer_with_a_native_form_stays_or_goes_whole() -> None:
    native = NativeTurn("scope", {"verbatim": True})
    answer = Span([{"type": "reasoning", "summary": []}, call("a")], native)
    spans = [Span([user("1"), model("one"), user("2")]), answer, Span([output("a")])]
    droppable = Droppable.of(spans)
    assert droppable.without(0) == spans
    assert droppable.without(1) == [Span([user("2")]), answer, Span([output("a")])]


def test_no_cut_of_any_conversation_parts_a_call_from_its_output() -> None:
    for seed in range(300):
        items = _conversation(random.Random(seed))
        assert joined(pieces_of([Span(items)])) == ([Span(items)] if items else [])
        droppable = Droppable.of([Span(items)])
        kept = set(map(id, items[newest(droppable.pieces) :]))
        for count in range(len(droppable.units) + 1):
            left = [item for span in droppable.without(count) for item in span.items]
            calls = {item["call_id"] for item in left if item["type"] == "function_call"}
            outputs = {item["call_id"] for item in left if item["type"].endswith("_output")}
            assert calls == outputs, (seed, count)
            assert kept <= set(map(id, left))
            rules = [item for item in items if item.get("role") == "system"]
            assert all(any(item is rule for item in left) for rule in rules)
            if any(item.get("role") == "user" for item in items):
                assert any(item.get("role") == "user" for item in left), (seed, count)


def _conversation(pick: random.Random) -> list[Item]:
    """Every call is answered, sooner or later; it may end in anything."""
    items: list[Item] = []
    waiting: list[str] = []
    for n in range(pick.randrange(24)):
        match pick.randrange(6):
            case 0 | 1:
                items.append(user(str(n)))
            case 2:
                items.append(model(str(n)))
            case 3:
                items.append(call(f"c{n}"))
                waiting.append(f"c{n}")
            case 4 if waiting:
                items.append(output(waiting.pop(pick.randrange(len(waiting)))))
            case _:
                items.append(said("system", str(n)))
    return [*items, *map(output, waiting)]


# --- asking again


class Window:
    """Takes turns of at most `items` items."""

    def __init__(self, items: int, *, late: bool = False) -> None:
        self._items = items
        self._late = late
        self.turns: list[Turn] = []

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        self.turns.append(turn)
        if self._late:
            yield UpstreamInfo(model="m")
        if len(list(turn.items)) > self._items:
            raise TOO_LONG
        for delta in spoken("answer", turn):
            yield delta


def serving(provider: Any, **deployment: Any) -> ResponsesApp:
    return ResponsesApp(store=MemoryStore(), models={"m": Deployment(provider, **deployment)})


async def post(app: ResponsesApp, input: Any, **body: Any) -> httpx2.Response:
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as http,
    ):
        return await http.post("/responses", json={"model": "m", "input": input, **body})


LONG = [item for n in range(20) for item in (user(f"question {n:02}"), model(f"answer {n:02}"))]
LONG.append(user("the newest"))


@pytest.mark.parametrize("late", [False, True], ids=["as HTTP", "in the stream"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_auto_leaves_out_half_until_it_fits_and_says_how_much(
    late: bool, stream: bool
) -> None:
    window = Window(11, late=late)
    answer = await post(serving(window), LONG, truncation="auto", stream=stream)
    assert answer.status_code == 200
    assert [len(list(turn.items)) for turn in window.turns] == [41, 21, 11]
    assert answer.headers["x-responses-mw-truncated"] == "turns=15"
    assert "answer" in answer.text
    assert labels(list(window.turns[-1].spans))[-1] == "the newest"


async def test_auto_changes_nothing_where_all_fits() -> None:
    window = Window(41)
    answer = await post(serving(window), LONG, truncation="auto", instructions="Be kind.")
    assert len(window.turns) == 1
    assert "x-responses-mw-truncated" not in answer.headers
    assert answer.json()["truncation"] == "auto"


async def test_auto_ends_with_the_newest_question_alone() -> None:
    window = Window(1)
    answer = await post(serving(window), LONG, truncation="auto")
    assert answer.headers["x-responses-mw-truncated"] == "turns=20"
    assert len(window.turns) <= 5
    assert labels(list(window.turns[-1].spans)) == ["the newest"]


async def test_a_question_that_is_too_long_by_itself_is_refused() -> None:
    window = Window(0)
    answer = await post(serving(window), LONG, truncation="auto")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert len(window.turns) <= 5


async def test_disabled_is_the_upstreams_refusal_naming_the_input() -> None:
    for parameters in ({}, {"truncation": "disabled"}):
        window = Window(11)
        answer = await post(serving(window), LONG, **parameters)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (
            400,
            "context_length_exceeded",
            "input",
        )
        assert len(window.turns) == 1


async def test_a_known_window_is_not_overrun_in_the_first_place() -> None:
    window = Window(100)
    app = serving(window, max_input_tokens=100)
    answer = await post(app, LONG, truncation="auto")
    assert len(window.turns) == 1
    assert "turns=" in answer.headers["x-responses-mw-truncated"]
    assert len(list(window.turns[0].items)) < 41


async def test_other_failures_leave_nothing_out() -> None:
    class Down:
        asked = 0

        async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
            self.asked += 1
            raise UpstreamUnavailable("no connection")
            yield

    down = Down()
    answer = await post(serving(down), LONG, truncation="auto")
    assert (answer.status_code, down.asked) == (502, 1)


async def test_nothing_is_asked_again_once_the_model_has_spoken() -> None:
    class Breaks:
        asked = 0

        async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
            self.asked += 1
            yield TextDelta("half an")
            raise TOO_LONG

    breaks = Breaks()
    answer = await post(serving(breaks), LONG, truncation="auto")
    assert breaks.asked == 1
    assert answer.json()["status"] == "failed"


async def test_what_was_left_out_is_still_stored() -> None:
    provider = Window(1)
    app = serving(provider)
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as http,
    ):
        body = {"model": "m", "input": LONG, "truncation": "auto"}
        one = (await http.post("/responses", json=body)).json()
        provider._items = 100
        two = {"model": "m", "input": "And now?", "previous_response_id": one["id"]}
        await http.post("/responses", json=two)
    assert len(list(provider.turns[-1].items)) == 43


async def test_a_tool_loop_that_is_too_long_keeps_its_question() -> None:
    class Loop:
        """Calls a tool until the conversation is too long for it."""

        def __init__(self) -> None:
            self.turns: list[Turn] = []

        async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
            self.turns.append(turn)
            if len(list(turn.items)) > 6:
                raise TOO_LONG
            yield ToolCallStarted(0, "look", f"call_{len(self.turns)}")
            yield ToolCallDelta(0, "{}")
            yield Stopped()

    loop = Loop()
    app = serving(loop)
    input: Any = "Find the bug."
    previous = None
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as http,
    ):
        for _ in range(8):
            body = {"model": "m", "input": input, "previous_response_id": previous}
            found = await http.post("/responses", json={**body, "truncation": "auto"})
            assert found.status_code == 200, found.text
            previous = found.json()["id"]
            made = found.json()["output"][0]["call_id"]
            input = [{"type": "function_call_output", "call_id": made, "output": "nothing"}]
    for turn in loop.turns:
        items = list(turn.items)
        assert text_of(items[0]) == "Find the bug."
        assert sum(item["type"] == "function_call" for item in items) == len(items) // 2
