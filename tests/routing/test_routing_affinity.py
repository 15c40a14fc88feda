"""A chain, a seal, a session, a caller go on where they were; softly, and it says so if they
cannot."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from routed import Time, ask, at, record, router, saying, shares, status, upstreams

from responses_mw import ResponsesApp
from responses_mw.deltas import Delta, NativeTurn, ReasoningDelta, Stopped, TextDelta
from responses_mw.records import Caller
from responses_mw.router import Deployment, Routing
from responses_mw.testing import openai_client
from responses_mw.turn import Span, Turn


class Scoped:
    """Signs what it thinks so that only its own scope can read it."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self.read: list[Any] = []

    def scope(self, turn: Turn) -> str:
        return self._scope

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        self.read += [s.native.state for s in turn.replay(self._scope) if isinstance(s, Span)]
        yield ReasoningDelta("thought")
        yield TextDelta(self._scope)
        yield NativeTurn(self._scope, {"signed by": self._scope})
        yield Stopped()


async def test_a_chain_goes_on_at_the_deployment_that_answered_before() -> None:
    async with upstreams(*[saying(id) for id in "abc"]) as places:
        models = {"m": [at(place, id) for place, id in zip(places, "abc", strict=True)]}
        app = ResponsesApp(store="memory://", models=models)
        async with app.lifespan(), openai_client(app) as client:
            first = await client.responses.create(model="m", input="hi")
            chain, said = first, {first.output_text}
            for _ in range(8):
                chain = await client.responses.create(
                    model="m", input="and", previous_response_id=chain.id
                )
                said.add(chain.output_text)
            talk = await client.conversations.create()
            spoken = [
                (
                    await client.responses.create(model="m", input="x", conversation=talk.id)
                ).output_text
                for _ in range(6)
            ]
    assert len(said) == 1
    assert len(set(spoken)) == 1


async def test_it_goes_elsewhere_when_that_one_is_down_and_says_so(caplog: Any) -> None:
    caplog.set_level("INFO", "responses_mw")
    async with upstreams(saying("a"), saying("b")) as (a, b):
        models = {"m": [at(a, "a", order=1), at(b, "b", order=2)]}
        app = ResponsesApp(store="memory://", models=models)
        async with app.lifespan(), openai_client(app) as client:
            first = await client.responses.create(model="m", input="hi")
            assert first.output_text == "a"
            a._answers = [status(503)]
            told = await client.responses.with_raw_response.create(
                model="m", input="and", previous_response_id=first.id
            )
            second = told.parse()
            assert second.output_text == "b"
            assert told.headers["x-responses-mw-fallback"] == "a->b"
            assert any("a->b" in line.getMessage() for line in caplog.records)
            a._answers = [saying("a")]
            third = await client.responses.with_raw_response.create(
                model="m", input="and", previous_response_id=second.id
            )
    assert third.parse().output_text == "b"  # where the chain was last
    assert "x-responses-mw-fallback" not in third.headers


async def test_a_seal_goes_to_who_can_read_it() -> None:
    one, two = Scoped("one"), Scoped("two")
    models = {"m": [Deployment(one, id="one"), Deployment(two, id="two")]}
    app = ResponsesApp(store="memory://", models=models)
    async with app.lifespan(), openai_client(app) as client:
        for _ in range(6):
            first = await client.responses.create(
                model="m", input="hi", store=False, include=["reasoning.encrypted_content"]
            )
            items: list[Any] = [{"role": "user", "content": "hi"}, *first.output]
            items.append({"role": "user", "content": "and"})
            second = await client.responses.create(model="m", input=items, store=False)
            assert second.output_text == first.output_text
    assert one.read + two.read == [{"signed by": "one"}] * len(one.read) + [
        {"signed by": "two"}
    ] * len(two.read)
    assert len(one.read + two.read) == 6


async def test_a_foreign_seal_is_left_out_and_the_answer_comes_from_elsewhere() -> None:
    two = Scoped("two")
    span = Span([], NativeTurn("one", "foreign"))
    async with upstreams(status(500)) as (down,):
        reader = at(down, "one")
        reader.provider.scope = lambda turn: "one"  # type: ignore[attr-defined]
        async with router({"m": [reader, Deployment(two, id="two")]}) as made:
            answered = await ask(made, spans=[span])
    assert (answered.by, answered.noted.fallback, two.read) == ("two", "one->two", [])


async def test_a_session_stays_where_it_was_for_its_time() -> None:
    time = Time()
    async with upstreams(*[saying(id) for id in "abc"]) as places:
        models = {"m": [at(place, id) for place, id in zip(places, "abc", strict=True)]}
        rules = {"checks": ["session_affinity"], "affinity_ttl_s": 100}
        async with router(models, time=time, **rules) as made:

            async def by(**options: Any) -> str | None:
                return (await ask(made, **options)).by

            def session(name: str, owner: str = "ann") -> Any:
                return record(caller=Caller(owner, session=name))

            stays = {await by(noted=session("s")) for _ in range(8)}
            keyed = {await by(prompt_cache_key="k") for _ in range(8)}
            others = {await by(noted=session(f"s{n}")) for n in range(20)}
            of_others = {await by(noted=session("s", owner=f"u{n}")) for n in range(20)}
            assert (len(stays), len(keyed)) == (1, 1)
            assert len(others) == len(of_others) == 3
            moved = set()
            for _ in range(20):
                time.at += 101
                moved.add(await by(noted=session("s")))
            assert len(moved) == 3


async def test_a_callers_key_stays_with_a_deployment() -> None:
    async with upstreams(*[saying(id) for id in "abc"]) as places:
        models = {"m": [at(place, id) for place, id in zip(places, "abc", strict=True)]}
        async with router(models, checks=["deployment_affinity"]) as made:
            for key in ("k1", "k2"):
                stays = {
                    (await ask(made, noted=record(caller=Caller("ann", key=key)))).by
                    for _ in range(8)
                }
                assert len(stays) == 1


async def test_without_a_check_nothing_is_kept_to() -> None:
    async with (
        upstreams(saying("a"), saying("b")) as (a, b),
        router({"m": [at(a, "a"), at(b, "b")]}, checks=[]) as made,
    ):
        found = set()
        for _ in range(20):
            found.add((await ask(made, noted=record(previous_deployment="a"))).by)
        assert found == {"a", "b"}
        assert set(await shares(made, 20)) == {"a", "b"}


@pytest.mark.parametrize("before", ["gone", None])
async def test_a_deployment_that_is_not_there_any_more_is_no_wish(before: Any) -> None:
    async with (
        upstreams(saying("a"), saying("b")) as (a, b),
        router({"m": [at(a, "a"), at(b, "b")]}) as made,
    ):
        answered = await ask(made, noted=record(previous_deployment=before))
    assert answered.noted.fallback is None


async def test_what_is_remembered_does_not_grow_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from responses_mw.routing import affinity

    monkeypatch.setattr(affinity, "MOST_REMEMBERED", 3)
    made = affinity.Affinities(Routing())
    for n in range(5):
        made.remember([f"k{n}"], "a", 0.0)
    assert [made.recall([f"k{n}"], 1.0) for n in range(5)] == [None, None, "a", "a", "a"]
