"""Each strategy sends turns where it says, over real upstreams."""

import contextlib
from typing import Any

import openai
import pytest
from routed import Time, ask, at, record, router, saying, shares, status, turn, upstreams
from upstream import Answer, Exchange

from responses_mw import ResponsesApp
from responses_mw.errors import ConfigurationError, InvalidRequest, UpstreamRefused
from responses_mw.router import Deployment, Routing
from responses_mw.routing import directory
from responses_mw.routing.directory import Directory
from responses_mw.testing import EchoProvider, openai_client


async def test_a_shuffle_shares_turns_by_weight() -> None:
    async with upstreams(saying("a"), saying("b")) as (a, b):
        models = {"m": [at(a, "a", weight=9), at(b, "b", weight=1)]}
        async with router(models) as made:
            found = await shares(made, 100)
    assert 80 <= found["a"] <= 97
    assert found["b"] == 100 - found["a"]


@pytest.mark.parametrize("limit", ["rpm", "tpm"])
async def test_without_weights_limits_are_the_shares(limit: str) -> None:
    async with upstreams(saying("a"), saying("b")) as (a, b):
        models = {"m": [at(a, "a", **{limit: 1000}), at(b, "b", **{limit: 9000})]}
        async with router(models) as made:
            found = await shares(made, 60)
    assert found["b"] > 3 * found["a"]


async def test_without_any_measure_all_get_turns() -> None:
    async with (
        upstreams(saying("a"), saying("b"), saying("c")) as (a, b, c),
        router({"m": [at(a, "a"), at(b, "b"), at(c, "c")]}) as made,
    ):
        found = await shares(made, 60)
    assert min(found.get(id, 0) for id in "abc") >= 10


async def test_least_busy_goes_where_the_fewest_turns_are_under_way() -> None:
    async with (
        upstreams(saying("a"), saying("b")) as (a, b),
        router({"m": [at(a, "a"), at(b, "b")]}, strategy="least-busy") as made,
        contextlib.AsyncExitStack() as stack,
    ):
        by = []
        for _ in range(8):  # each stays open while the next is asked
            batches = made.batches(turn(), record())
            stack.push_async_callback(batches.aclose)
            by.append((await anext(batches))[0].id)
    assert sorted(by) == ["a"] * 4 + ["b"] * 4


def taking(seconds: float, text: str, time: Time) -> Answer:
    async def answer(exchange: Exchange) -> None:
        time.at += seconds
        await saying(text)(exchange)

    return answer


async def test_the_fastest_is_asked_and_a_slow_one_tried_again_later() -> None:
    time = Time()
    async with upstreams(taking(0.1, "a", time), taking(2.0, "b", time)) as (a, b):
        models = {"m": [at(a, "a"), at(b, "b")]}
        async with router(models, time=time, strategy="latency-based-routing") as made:
            assert await shares(made, 2) == {"a": 1, "b": 1}  # each is measured once
            assert await shares(made, 20) == {"a": 20}
            by = []
            for _ in range(20):
                time.at += 100
                by.append((await ask(made)).by)
    assert by.count("b") == 1  # what was measured long ago counts for less, until it is again


async def test_those_within_the_buffer_share_the_work() -> None:
    time = Time()
    async with upstreams(taking(1.0, "a", time), taking(1.4, "b", time)) as (a, b):
        models = {"m": [at(a, "a"), at(b, "b")]}
        rules = {"strategy": "latency-based-routing", "latency_buffer": 0.6}
        async with router(models, time=time, **rules) as made:
            found = await shares(made, 20)
    assert min(found["a"], found["b"]) >= 5


async def test_usage_goes_where_most_of_the_minute_is_left() -> None:
    time = Time()
    async with upstreams(saying("a", tokens=10), saying("b", tokens=10)) as (a, b):
        models = {"m": [at(a, "a", tpm=100), at(b, "b", tpm=400)]}
        async with router(models, time=time, strategy="usage-based-routing") as made:
            found = await shares(made, 20)
    assert found == {"a": 4, "b": 16}


async def test_a_spent_minute_is_a_429_until_the_next_one() -> None:
    time = Time()
    time.at = 60_000.0 + 18
    async with upstreams(saying("a"), saying("b")) as (a, b):
        models = {"m": [at(a, "a", rpm=2), at(b, "b", rpm=1)]}
        async with router(models, time=time, strategy="usage-based-routing") as made:
            assert await shares(made, 3) == {"a": 2, "b": 1}
            with pytest.raises(UpstreamRefused) as refused:
                await ask(made)
            assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
            assert refused.value.headers["Retry-After"] == "42"
            time.at += 42
            assert (await ask(made)).by in ("a", "b")
        assert len(a.exchanges) + len(b.exchanges) == 4


async def test_limits_can_be_kept_by_any_strategy() -> None:
    async with upstreams(saying("a")) as (a,):
        rules = {"checks": ["enforce_model_rate_limits"], "retries": 3}
        async with router({"m": [at(a, rpm=1)]}, time=Time(), **rules) as made:
            await ask(made)
            with pytest.raises(UpstreamRefused, match="as often as it may"):
                await ask(made)


async def test_the_cheapest_is_asked_first_and_unknown_prices_last() -> None:
    async with upstreams(saying("a"), saying("b"), saying("c")) as (a, b, c):
        cheap = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
        dear = {"input_cost_per_token": 3e-6, "output_cost_per_token": 9e-6}
        models = {"m": [at(a, "a", prices=dear), at(b, "b"), at(c, "c", prices=cheap)]}
        async with router(models, strategy="cost-based-routing") as made:
            assert await shares(made, 10) == {"c": 10}


async def test_the_kept_list_knows_who_is_cheap() -> None:
    async with upstreams(saying("a"), saying("b")) as (a, b):
        dear, cheap = {"base_model": "openai/gpt-4o"}, {"base_model": "openai/gpt-4o-mini"}
        models = {"m": [at(a, "dear", **dear), at(b, "cheap", **cheap)]}
        async with router(models, strategy="cost-based-routing") as made:
            assert await shares(made, 10) == {"cheap": 10}


async def test_a_lower_order_goes_first_whatever_the_weight() -> None:
    async with upstreams(status(500), saying("b"), saying("c")) as (a, b, c):
        models = {"m": [at(b, "b", order=2, weight=1), at(c, "c", weight=99), at(a, "a", order=1)]}
        async with router(models) as made:
            answered = await ask(made)
    assert (answered.by, answered.asked) == ("b", ["a", "b"])


async def test_a_wildcard_passes_the_rest_of_the_name_on() -> None:
    async with upstreams(saying("any"), saying("one")) as (any_, one):
        models = {
            "x/*": [at(any_, model="*")],
            "x/big-*": [at(one, model="large-*")],
            "x/plain": [at(one, model="plain")],
        }
        async with router(models) as made:
            assert [(await ask(made, name)).model for name in ("x/y/z", "x/big-1", "x/plain")] == [
                "y/z",
                "large-1",
                "plain",
            ]
            assert [exchange.json["model"] for exchange in one.exchanges] == ["large-1", "plain"]
            with pytest.raises(InvalidRequest, match=r"Known models: x/\*"):
                await ask(made, "y/1")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("fo::a::static::b", "up/a-b"),
        ("fo::a*::static::*b", "up/a*-*b"),
        ("fo::a::static::b::static::c", "up/a-b::static::c"),
        ("fo::::static::b", None),
        ("fo::a::static::", None),
        ("fo::" + ":static" * 60, None),
    ],
)
def test_a_name_may_have_several_wildcards(asked: str, told: str | None) -> None:
    models = {"fo::*::static::*": Deployment(EchoProvider(), model="up/*-*")}
    found = Directory(models, Routing()).find(asked)
    if told is None:
        assert found is None
    else:
        assert found is not None
        assert found.deployment(found.standings[0]).model == told


async def test_names_behind_a_wildcard_are_found_again_and_not_all_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(directory, "MOST_REMEMBERED", 3)
    async with upstreams(saying("any")) as (any_,):
        models = {"x/*": [at(any_, "a", model="*"), at(any_, "b", model="plain")]}
        async with router(models) as made:
            known = made._known.directory
            long = "x/" + "y" * 200
            for name in ("x/1", "x/1", "x/2", "x/3", "x/4", long, "x/1"):
                found = known.get(name)
                named = [found.deployment(each).model for each in found.standings]
                assert (found.model, named) == (name, [name[2:], "plain"])
                assert len(known._behind_wildcards) <= 3
            assert long not in known._behind_wildcards
            assert known.get("x/1") is known.get("x/1")


async def test_a_name_that_a_deployment_would_take_can_be_asked_about() -> None:
    async with upstreams(saying("any")) as (any_,):
        app = ResponsesApp(
            store="memory://",
            models={"x/*": [at(any_, model="*")], "y": [at(any_)]},
            routing=Routing(aliases={"z": "x/1", "hidden": "y"}, hidden=frozenset({"hidden"})),
        )
        async with app.lifespan(), openai_client(app) as client:
            for name in ("x/y/z", "x/*", "y", "z", "hidden"):
                found = await client.models.retrieve(name)
                assert (found.id, found.object) == (name, "model")
                answered = await client.responses.create(model=name, input="hi")
                assert (answered.model, answered.output_text) == (name, "any")
            for absent in ("w", "x/", "y/1"):
                with pytest.raises(openai.NotFoundError) as refused:
                    await client.models.retrieve(absent)
                assert refused.value.code == "model_not_found"
            assert [model.id async for model in client.models.list()] == ["x/*", "y", "z"]


async def test_an_alias_is_another_name_and_may_be_hidden() -> None:
    async with upstreams(saying("a")) as (a,):
        rules = {"aliases": {"n": "m", "o": "m"}, "hidden": frozenset({"o"})}
        async with router({"m": [at(a)]}, **rules) as made:
            assert made.names == ["m", "n"]
            assert (await ask(made, "o")).text == "a"


@pytest.mark.parametrize("wrong", [{"strategy": "x"}, {"checks": ["x"]}, {"cooldown_s": -1}])
def test_wrong_rules_are_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Routing(**wrong)


async def test_defaults_of_a_deployment_hold_where_a_client_says_nothing() -> None:
    async with upstreams(saying("a")) as (place,):
        defaults = {"temperature": 0.2, "max_output_tokens": 100}
        app = ResponsesApp(store="memory://", models={"m": [at(place, defaults=defaults)]})
        async with app.lifespan(), openai_client(app) as client:
            await client.responses.create(model="m", input="hi")
            await client.responses.create(model="m", input="hi", temperature=0, store=False)
    told = [(each.json["temperature"], each.json["max_tokens"]) for each in place.exchanges]
    assert told == [(0.2, 100), (0, 100)]


def test_a_default_that_no_turn_has_stops_the_start() -> None:
    models = {"m": Deployment(EchoProvider(), defaults={"max_tokens": 5})}
    with pytest.raises(ConfigurationError, match=r"models\['m'\]\.defaults: .*'max_tokens'"):
        Directory(models, Routing())
