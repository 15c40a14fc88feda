"""Every strategy and every affinity while the one that it prefers fails on purpose."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest
from routed import (
    Time,
    ask,
    at,
    garbage,
    half_a_frame,
    half_an_answer,
    record,
    reset,
    router,
    saying,
    shares,
    stall,
    stall_in_stream,
    status,
    turn,
    upstreams,
)
from upstream import Answer, Upstream

from responses_mw import ResponsesApp
from responses_mw.config import load
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UpstreamRefused, UpstreamTimeout
from responses_mw.records import Caller
from responses_mw.router import Deployment, Router, Routing
from responses_mw.routing.options import CONTINUITY
from responses_mw.testing import openai_client
from responses_mw.turn import Span

REFUSE = "refuse"
STREAMED: dict[str, Answer | str] = {
    "refuse": REFUSE,
    "reset": reset,
    "stall": stall_in_stream,
    "429": status(429, Retry_After="7"),
    "500": status(500),
    "garbage": garbage,
    "half a frame": half_a_frame,
}
WHOLE: dict[str, Answer | str] = {
    "refuse": REFUSE,
    "reset": reset,
    "stall": stall,
    "429": status(429, Retry_After="7"),
    "500": status(500),
    "garbage": garbage,
    "half an answer": half_an_answer,
}


@contextlib.asynccontextmanager
async def failing_upstream(failing: Answer | str) -> AsyncIterator[Upstream]:
    async with upstreams(saying("never")) as (bad,):
        fail(bad, failing)
        yield bad


def fail(bad: Upstream, failing: Answer | str) -> None:
    """From now on."""
    if isinstance(failing, str):
        bad.refuse()
    else:
        bad._answers = [failing]


# --- strategies: each is made to prefer "bad"


Prefers = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
STRATEGIES: dict[str, Prefers] = {
    "simple-shuffle": ({}, {"weight": 1}, {"weight": 0}),
    "least-busy": ({}, {}, {}),
    "latency-based-routing": ({}, {}, {}),
    "usage-based-routing": ({}, {"rpm": 100}, {"rpm": 100}),
    "cost-based-routing": (
        {},
        {"prices": {"input_cost_per_token": 1e-9, "output_cost_per_token": 1e-9}},
        {"prices": {"input_cost_per_token": 1e-3, "output_cost_per_token": 1e-3}},
    ),
}


async def prefer_bad(made: Router, strategy: str, stack: contextlib.AsyncExitStack) -> None:
    """Gives the good one the load, or the time, that the strategy looks at."""
    good = next(each for each in made._known.directory.standings if each.id == "good")
    match strategy:
        case "least-busy":
            good.busy += 1
            stack.callback(setattr, good, "busy", 0)
        case "latency-based-routing":
            good.measure(30.0, made._known.clock.now())
        case "usage-based-routing":
            good.roll(int(made._known.clock.wall() // 60))
            good.requests = 50


@pytest.mark.parametrize("failing", STREAMED.values(), ids=STREAMED)
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_whom_a_strategy_prefers_may_fail(strategy: str, failing: Answer | str) -> None:
    rules, ours, theirs = STRATEGIES[strategy]
    async with contextlib.AsyncExitStack() as stack:
        bad = await stack.enter_async_context(failing_upstream(failing))
        (good,) = await stack.enter_async_context(upstreams(saying("well")))
        models = {"m": [at(good, "good", **theirs), at(bad, "bad", first_delta_s=0.2, **ours)]}
        rules = {**rules, "strategy": strategy}
        made = await stack.enter_async_context(router(models, **rules, time=Time()))
        await prefer_bad(made, strategy, stack)
        answered = await ask(made)
    assert (answered.text, answered.asked) == ("well", ["bad", "good"])


@pytest.mark.parametrize("failing", WHOLE.values(), ids=WHOLE)
async def test_a_whole_answer_comes_from_the_next_one_too(failing: Answer | str) -> None:
    async with failing_upstream(failing) as bad, upstreams(saying("well")) as (good,):
        models = {"m": [at(bad, "bad", order=1, read_s=0.2), at(good, "good")]}
        async with router(models) as made:
            answered = await ask(made, stream=False)
    assert (answered.text, answered.asked) == ("well", ["bad", "good"])


# --- fallbacks


@pytest.mark.parametrize("failing", STREAMED.values(), ids=STREAMED)
@pytest.mark.parametrize(
    "rules",
    [{"fallbacks": {"m": ["n"]}}, {"default_fallbacks": ["n"]}],
    ids=["fallbacks", "default_fallbacks"],
)
async def test_a_model_that_fails_in_any_way_has_its_fallback(
    rules: dict[str, Any], failing: Answer | str
) -> None:
    async with failing_upstream(failing) as bad, upstreams(saying("well")) as (good,):
        models = {"m": [at(bad, "m", first_delta_s=0.2)], "n": [at(good, "n")]}
        async with router(models, **rules) as made:
            answered = await ask(made)
    assert (answered.text, answered.noted.fallback) == ("well", "m->n")


# --- affinities: each leads to "bad", which answered before and fails now


def kept_to(check: str) -> tuple[list[str], Callable[[], dict[str, Any]]]:
    """The checks, and what the next turn is asked with."""
    match check:
        case "responses_api_deployment_check":
            return [check], lambda: {"noted": record(previous_deployment="bad")}
        case "session_affinity":
            return [check], lambda: {"noted": record(caller=Caller("ann", session="s"))}
        case "encrypted_content_affinity":
            return [check], lambda: {"spans": [Span([], NativeTurn("of bad", "sealed"))]}
        case "prompt_cache_key":
            return ["session_affinity"], lambda: {"prompt_cache_key": "s"}
        case _:
            return [check], lambda: {"noted": record(caller=Caller("ann", key="k"))}


@pytest.mark.parametrize("failing", STREAMED.values(), ids=STREAMED)
@pytest.mark.parametrize(
    "check",
    [
        "responses_api_deployment_check",
        "encrypted_content_affinity",
        "session_affinity",
        "prompt_cache_key",
        "deployment_affinity",
    ],
)
async def test_whom_an_affinity_keeps_to_may_fail(check: str, failing: Answer | str) -> None:
    checks, asked = kept_to(check)
    async with upstreams(saying("before"), saying("well")) as (bad, good):
        hasty = at(bad, "bad", order=1, first_delta_s=0.7)
        models = {"m": [at(good, "good", order=2), hasty]}
        hasty.provider.scope = lambda turn: "of bad"  # type: ignore[attr-defined]
        async with router(models, checks=checks) as made:
            assert (await ask(made, **asked())).by == "bad"
            fail(bad, failing)
            moved = await ask(made, **asked())
            assert (moved.text, moved.asked) == ("well", ["bad", "good"])
            assert moved.noted.fallback == "bad->good"
            bad._answers = [saying("again")]
            if check not in CONTINUITY:  # what those go by is kept with the response
                assert (await ask(made, **asked())).by == "good"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_goes_on_elsewhere_while_its_deployment_cools_down(
    stream: bool,
) -> None:
    async with upstreams(saying("a"), saying("b")) as (a, b):
        models = {"m": [at(a, "a", order=1), at(b, "b", order=2)]}
        app = ResponsesApp(store="memory://", models=models, routing=Routing(allowed_fails=0))
        async with app.lifespan(), openai_client(app) as client:
            talk = await client.conversations.create()
            asked: Any = {"model": "m", "input": "x", "conversation": talk.id}
            assert (await client.responses.create(**asked)).output_text == "a"
            a._answers = [status(503)]
            await client.responses.create(**asked)
            told = await client.responses.with_raw_response.create(
                model="m", input="y", stream=stream, conversation=talk.id
            )
            # It spoke last at b; nobody asked a, which cools down.
            assert told.headers["x-responses-mw-deployment"] == "b"
            assert app.health["a"] == "cooling"
            first = await client.responses.create(model="m", input="z")
    assert first.output_text == "b"
    assert len(a.exchanges) == 2


# --- cooldowns and what the client is told


@pytest.mark.parametrize("code", [401, 403, 404, 408, 429, 500, 502, 503, 529])
async def test_each_failure_of_a_deployments_own_cools_it_down(code: int) -> None:
    async with upstreams(status(code), saying("b")) as (a, b):
        models = {"m": [at(a, "a", order=1), at(b, "b")]}
        async with router(models, time=Time(), allowed_fails=2) as made:
            await shares(made, 2)
            assert made.health["a"] == "healthy"
            await shares(made, 3)
            assert (made.health["a"], len(a.exchanges)) == ("cooling", 3)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("answers", "error", "kind", "retry_after"),
    [
        (
            (status(500), status(429, message="slow down", Retry_After="9"), status(401)),
            openai.RateLimitError,
            "rate_limit_error",
            "9",
        ),
        ((status(401), status(503), reset), openai.InternalServerError, "server_error", None),
        (
            (status(500), status(400, message="bad", error="context_length_exceeded")),
            openai.BadRequestError,
            "invalid_request_error",
            None,
        ),
    ],
)
async def test_a_client_is_told_the_most_telling_error_as_it_came(
    answers: Any, error: Any, kind: str, retry_after: str | None, stream: bool
) -> None:
    async with upstreams(*answers) as places:
        models = {"m": [at(place, order=n) for n, place in enumerate(places)]}
        app = ResponsesApp(store="memory://", models=models)
        async with app.lifespan(), openai_client(app) as client:
            with pytest.raises(error) as told:
                await client.responses.create(model="m", input="hi", stream=stream)
    assert told.value.type == kind
    assert told.value.response.headers.get("retry-after") == retry_after


# --- times


async def test_a_deployments_own_timeout_bounds_every_silence() -> None:
    async with upstreams(stall, stall_in_stream, saying("well")) as (silent, half, good):
        listed = [
            {
                "model_name": "m",
                "litellm_params": {
                    "model": "hosted_vllm/m", "api_base": each.url, "timeout": 0.2, "order": n,
                },
            }
            for n, each in enumerate((silent, half, good))
        ]  # fmt: skip
        loaded = load({"model_list": listed})
        async with router(loaded.models, **{}) as made:
            for stream in (False, True):
                answered = await ask(made, stream=stream)
                assert (answered.text, len(answered.asked)) == ("well", 3)


async def test_retries_and_waits_end_with_the_turns_time() -> None:
    time = Time()
    async with upstreams(status(500)) as (bad,):
        models: dict[str, list[Deployment]] = {"m": [at(bad)]}
        async with router(models, time=time, retries=10, timeout_s=2.0, cooldowns=False) as made:
            with pytest.raises((UpstreamRefused, UpstreamTimeout)):
                await ask(made)
    assert 1 < len(bad.exchanges) < 11
    assert sum(time.slept) <= 2.0


async def test_a_turn_that_nobody_waits_for_any_more_leaves_its_upstream() -> None:
    async with (
        upstreams(stall_in_stream) as (silent,),
        router({"m": [at(silent, "a")]}, first_delta_s=0.1) as made,
    ):
        with pytest.raises(UpstreamTimeout):
            await ask(made)
        await silent.exchanges[0].gone.wait()
        left = made.batches(turn(), record())
        await left.aclose()
        assert made._known.directory.standings[0].busy == 0
