"""When a model has failed another one answers: which, after what, and how it is told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from routed import Time, ask, at, router, saying, status, upstreams

from responses_mw import ResponsesApp
from responses_mw.deltas import Delta, Stopped, TextDelta, UpstreamInfo
from responses_mw.errors import ConfigurationError, UpstreamRefused
from responses_mw.router import Deployment, Router, Routing
from responses_mw.routing.directory import Directory
from responses_mw.testing import EchoProvider, openai_client
from responses_mw.turn import Turn

TOO_LONG = status(400, message="maximum context length is 10", error="context_length_exceeded")
FILTERED = status(400, message="no", error="content_filter")


@pytest.mark.parametrize(
    ("failing", "rules", "by"),
    [
        (status(500), {"fallbacks": {"m": ["n", "o"]}}, "n"),
        (status(500), {"fallbacks": {"*": ["o"]}}, "o"),
        (status(500), {"default_fallbacks": ["o"]}, "o"),
        (status(500), {"default_fallbacks": ["o"], "fallbacks": {"m": ["n"]}}, "n"),
        (status(429), {"fallbacks": {"m": ["m", "n"]}}, "n"),
        (TOO_LONG, {"context_window_fallbacks": {"m": ["n"]}, "default_fallbacks": ["o"]}, "n"),
        (FILTERED, {"content_policy_fallbacks": {"m": ["n"]}, "default_fallbacks": ["o"]}, "n"),
    ],
)
async def test_each_kind_of_failure_has_its_fallback(
    failing: Any, rules: dict[str, Any], by: str
) -> None:
    async with upstreams(failing, saying("n"), saying("o")) as (m, n, o):
        models = {"m": [at(m, "m1"), at(m, "m2")], "n": [at(n, "n")], "o": [at(o, "o")]}
        async with router(models, **rules) as made:
            answered = await ask(made)
    assert (answered.by, answered.text, answered.noted.fallback) == (by, by, f"m->{by}")


@pytest.mark.parametrize("failing", [TOO_LONG, FILTERED, status(400)])
async def test_a_turn_that_is_wrong_has_no_general_fallback(failing: Any) -> None:
    async with upstreams(failing, saying("n")) as (m, n):
        rules = {"fallbacks": {"m": ["n"]}, "default_fallbacks": ["n"]}
        async with router({"m": [at(m)], "n": [at(n)]}, **rules) as made:
            with pytest.raises(UpstreamRefused) as refused:
                await ask(made)
    assert (refused.value.status, n.exchanges) == (400, [])


async def test_a_fallback_may_have_fallbacks_but_never_a_circle() -> None:
    async with upstreams(status(500), status(503), saying("o")) as (m, n, o):
        rules = {"fallbacks": {"m": ["n"], "n": ["m", "o"]}}
        async with router({"m": [at(m)], "n": [at(n)], "o": [at(o)]}, **rules) as made:
            assert (await ask(made)).text == "o"
        assert (len(m.exchanges), len(n.exchanges)) == (1, 1)
        async with router(
            {"m": [at(m)], "n": [at(n)], "o": [at(o)]}, max_fallbacks=1, **rules
        ) as made:
            with pytest.raises(UpstreamRefused):
                await ask(made)


async def test_a_model_is_asked_again_before_its_fallback_is() -> None:
    time = Time()
    async with upstreams(status(500), saying("n")) as (m, n):
        rules = {"fallbacks": {"m": ["n"]}, "retries": 2}
        async with router({"m": [at(m, "m")], "n": [at(n, "n")]}, time=time, **rules) as made:
            assert (await ask(made)).asked == ["m", "m", "m", "n"]


async def test_while_a_model_cools_down_its_fallback_answers_at_once() -> None:
    time = Time()
    async with upstreams(status(500), saying("n")) as (m, n):
        rules = {"fallbacks": {"m": ["n"]}, "allowed_fails": 0, "cooldown_s": 60}
        async with router({"m": [at(m)], "n": [at(n)]}, time=time, **rules) as made:
            assert [(await ask(made)).text for _ in range(3)] == ["n"] * 3
    assert len(m.exchanges) == 1


async def test_the_input_is_measured_first_where_that_is_wished() -> None:
    async with upstreams(saying("m"), saying("n")) as (m, n):
        models = {"m": [at(m, max_input_tokens=1)], "n": [at(n)]}
        rules = {"check_input_length": True}
        async with router(models, context_window_fallbacks={"m": ["n"]}, **rules) as made:
            assert (await ask(made)).text == "n"
        async with router(models, **rules) as made:
            with pytest.raises(UpstreamRefused) as refused:
                await ask(made)
    assert (refused.value.code, m.exchanges) == ("context_length_exceeded", [])


class Filtering:
    """Stops for its content filter, after the words given."""

    def __init__(self, *words: str) -> None:
        self._words = words

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        yield UpstreamInfo(model="f")
        for word in self._words:
            yield TextDelta(word)
        yield Stopped("content_filter")


async def test_an_answer_that_is_only_a_filters_refusal_falls_back() -> None:
    async with upstreams(saying("n")) as (n,):
        models = {"m": [Deployment(Filtering())], "o": [Deployment(Filtering("a"))], "n": [at(n)]}
        rules = {"content_policy_fallbacks": {"m": ["n"], "o": ["n"]}}
        async with router(models, **rules) as made:
            assert (await ask(made)).text == "n"
            assert (await ask(made, "o")).text == "a"
        async with router(models) as made:
            assert (await ask(made)).deltas[-1] == Stopped("content_filter")


async def test_the_answer_says_in_a_header_who_it_was_meant_for() -> None:
    async with upstreams(status(500), saying("n")) as (m, n):
        app = ResponsesApp(
            store="memory://",
            models={"m": at(m), "n": at(n, "second")},
            routing=Routing(fallbacks={"m": ["n"]}),
        )
        async with app.lifespan(), openai_client(app) as client:
            told = await client.responses.with_raw_response.create(model="m", input="hi")
            made = told.parse()
    assert told.headers["x-responses-mw-fallback"] == "m->n"
    assert told.headers["x-responses-mw-deployment"] == "second"
    assert (made.model, made.output_text) == ("m", "n")


@pytest.mark.parametrize(
    "rules", [{"fallbacks": {"m": ["x"]}}, {"default_fallbacks": ["x"]}, {"aliases": {"a": "x"}}]
)
def test_what_leads_nowhere_is_refused_at_the_start(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="leads to 'x'"):
        Router({"m": Filtering()}, Routing(**rules))


async def test_a_deployment_that_is_too_small_hides_no_others_failure() -> None:
    time = Time()
    async with upstreams(saying("small"), status(503)) as (small, large):
        models = {"m": [at(small, max_input_tokens=1), at(large, "large")]}
        async with router(models, time=time, check_input_length=True, retries=2) as made:
            with pytest.raises(UpstreamRefused) as refused:
                await ask(made)
    assert (refused.value.status, len(large.exchanges), small.exchanges) == (503, 3, [])


async def test_a_fallback_may_be_one_deployment_by_its_id() -> None:
    async with upstreams(status(500), saying("n1"), saying("n2")) as (m, n1, n2):
        models = {"m": [at(m)], "n": [at(n1, "first"), at(n2, "second")]}
        async with router(models, fallbacks={"m": ["second"]}) as made:
            answered = await ask(made)
            assert made.names == ["m", "n"]
    assert (answered.by, answered.noted.fallback) == ("second", "m->second")
    assert n1.exchanges == []


def test_a_model_goes_before_a_deployment_of_its_name() -> None:
    models = {"m": Deployment(EchoProvider(), id="n"), "n": Deployment(EchoProvider())}
    directory = Directory(models, Routing())

    assert [each.id for each in directory.get("n").standings] == ["n"]
    assert directory.get("n").standings[0] is not directory.get("m").standings[0]


def test_only_ids_that_somebody_gave_stand_for_a_model() -> None:
    models = {"m": [Deployment(EchoProvider()), Deployment(EchoProvider())]}
    assert Directory(models, Routing()).find("m-1") is None
    named = {"ollama/*": Deployment(EchoProvider(), model="*", id="any")}
    assert Directory(named, Routing()).find("any") is None
