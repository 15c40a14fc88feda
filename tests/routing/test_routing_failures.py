"""Upstreams that fail on purpose: who is asked next, when, and what the client is told."""

import asyncio
import socket
from typing import Any

import pytest
from routed import (
    Time,
    ask,
    at,
    garbage,
    garbage_after_a_word,
    half_a_frame,
    half_a_frame_after_a_word,
    record,
    reset,
    reset_after_a_word,
    router,
    saying,
    shares,
    stall,
    stall_after_a_word,
    stall_in_stream,
    status,
    turn,
    upstreams,
)

from responses_mw import ResponsesApp
from responses_mw.errors import (
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from responses_mw.records import Caller
from responses_mw.router import Routing
from responses_mw.testing import openai_client

FAST = {"first_delta_s": 0.3, "idle_s": 0.1}


def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}"


@pytest.mark.parametrize(
    "failing",
    [
        reset, stall, stall_in_stream, garbage, half_a_frame, status(500), status(401),
        status(404), status(408), status(429, Retry_After="7"), status(529),
    ],
    ids=lambda answer: getattr(answer, "__qualname__", "?").split(".")[0],
)  # fmt: skip
async def test_whatever_fails_before_it_says_something_the_next_one_answers(failing: Any) -> None:
    async with upstreams(failing, saying("well")) as (bad, good):
        models = {"m": [at(bad, "bad", order=1, **FAST), at(good, "good")]}
        async with router(models) as made:
            answered = await ask(made)
    assert (answered.text, answered.by, answered.asked) == ("well", "good", ["bad", "good"])
    assert answered.noted.attempts[0].error is not None
    assert answered.noted.attempts[1].error is None
    assert len(bad.exchanges) == 1


async def test_a_refused_connection_is_passed_over() -> None:
    async with upstreams(saying("well")) as (good,):
        models = {"m": [at(nobody(), "bad", order=1), at(good, "good")]}
        async with router(models) as made:
            assert (await ask(made)).asked == ["bad", "good"]


@pytest.mark.parametrize(
    "failing",
    [reset_after_a_word, stall_after_a_word, garbage_after_a_word, half_a_frame_after_a_word],
)
async def test_after_a_word_nobody_else_is_asked(failing: Any) -> None:
    async with upstreams(failing, saying("well")) as (bad, good):
        hasty = at(bad, "bad", order=1, first_delta_s=5, idle_s=0.1)
        models = {"m": [hasty, at(good, "good")]}
        async with router(models, retries=3, fallbacks={"m": ["m"]}) as made:
            with pytest.raises(UpstreamError):
                await ask(made)
    assert (len(bad.exchanges), len(good.exchanges)) == (1, 0)


async def test_a_turn_that_is_wrong_is_wrong_everywhere() -> None:
    async with upstreams(status(400, message="bad input"), saying("well")) as (bad, good):
        models = {"m": [at(bad, order=1), at(good)]}
        async with router(models, retries=3, default_fallbacks=["m"]) as made:
            with pytest.raises(UpstreamRefused, match="bad input"):
                await ask(made)
    assert (len(bad.exchanges), len(good.exchanges)) == (1, 0)


async def test_a_deployment_is_asked_again_with_growing_waits() -> None:
    time = Time()
    async with (
        upstreams(status(500)) as (bad,),
        router({"m": [at(bad)]}, time=time, retries=3, cooldowns=False) as made,
    ):
        with pytest.raises(UpstreamRefused):
            await ask(made)
    assert len(bad.exchanges) == 4
    for wait, longest in zip(time.slept, (0.5, 1.0, 2.0), strict=True):
        assert longest / 2 <= wait <= longest


async def test_retry_after_is_waited_for_unless_it_is_too_long() -> None:
    time = Time()
    async with upstreams(status(429, Retry_After="7")) as (bad,):
        async with router({"m": [at(bad)]}, time=time, retries=1) as made:
            with pytest.raises(UpstreamRefused) as refused:
                await ask(made)
            assert (time.slept, refused.value.headers["Retry-After"]) == ([7.0], "7")
        async with router({"m": [at(bad)]}, time=time, retries=1, most_wait_s=5) as made:
            with pytest.raises(UpstreamRefused):
                await ask(made)
    assert (time.slept, len(bad.exchanges)) == ([7.0], 3)


@pytest.mark.parametrize("refusal", [status(401), status(404), status(500, x_should_retry="false")])
async def test_what_will_not_get_better_is_not_asked_again(refusal: Any) -> None:
    async with (
        upstreams(refusal) as (bad,),
        router({"m": [at(bad)]}, time=Time(), retries=3) as made,
    ):
        with pytest.raises(UpstreamRefused):
            await ask(made)
    assert len(bad.exchanges) == 1


async def test_a_deployment_and_a_caller_may_say_how_often() -> None:
    async with (
        upstreams(status(500)) as (bad,),
        router({"m": [at(bad, max_retries=2)]}, time=Time()) as made,
    ):
        with pytest.raises(UpstreamRefused):
            await ask(made)
        assert len(bad.exchanges) == 3
        with pytest.raises(UpstreamRefused):
            await ask(made, noted=record(caller=Caller("ann", retries=0)))
    assert len(bad.exchanges) == 4


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ((status(500), status(429, Retry_After="9"), status(401)), (429, "9")),
        ((status(429, Retry_After="90"), status(429, Retry_After="9")), (429, "9")),
        ((status(401), status(503), reset), (503, None)),
        ((status(401), reset), (502, None)),
        ((status(401), status(401)), (401, None)),
    ],
)
async def test_when_all_failed_the_most_telling_error_is_told(answers: Any, told: Any) -> None:
    async with (
        upstreams(*answers) as places,
        router({"m": [at(place) for place in places]}) as made,
    ):
        with pytest.raises(UpstreamError) as raised:
            await ask(made)
    assert (raised.value.status, raised.value.headers.get("Retry-After")) == told


async def test_the_whole_turn_has_a_time_and_so_may_its_caller() -> None:
    async with upstreams(stall, stall) as (a, b):
        async with router({"m": [at(a), at(b)]}, timeout_s=0.15) as made:
            with pytest.raises(UpstreamTimeout, match="said nothing within"):
                await ask(made)
        assert len(a.exchanges) + len(b.exchanges) == 1
        async with router({"m": [at(a), at(b)]}) as made:
            with pytest.raises(UpstreamTimeout):
                await ask(made, noted=record(caller=Caller("ann", timeout_s=0.1)))


async def test_first_delta_and_idle_times_are_a_streams_own() -> None:
    async def slow(exchange: Any) -> None:
        await asyncio.sleep(0.15)
        await saying("slow")(exchange)

    async with upstreams(slow, stall_after_a_word) as (late, silent):
        models = {"m": [at(late, first_delta_s=0.05)], "n": [at(silent, idle_s=0.05)]}
        async with router(models) as made:
            with pytest.raises(UpstreamTimeout, match="said nothing within"):
                await ask(made)
            assert (await ask(made, stream=False)).text == "slow"
            with pytest.raises(UpstreamTimeout, match=r"fell silent for 0\.05 s"):
                await ask(made, "n")


# --- cooldowns


async def test_a_deployment_that_keeps_failing_cools_down_and_comes_back_by_a_probe() -> None:
    time = Time()
    async with upstreams(status(500), saying("good")) as (bad, good):
        models = {"m": [at(bad, "bad", order=1), at(good, "good")]}
        rules = {"allowed_fails": 1, "cooldown_s": 30}
        async with router(models, time=time, **rules) as made:
            await shares(made, 5)
            assert (len(bad.exchanges), made.health["bad"]) == (2, "cooling")
            time.at += 31
            assert made.health["bad"] == "probing"
            await shares(made, 3)  # the first of them probes
            assert (len(bad.exchanges), made.health["bad"]) == (3, "cooling")
            time.at += 31  # twice as long now
            await shares(made, 3)
            assert len(bad.exchanges) == 3
            time.at += 31
            bad._answers = [saying("again")]
            assert [(await ask(made)).by for _ in range(3)] == ["bad"] * 3
            assert made.health["bad"] == "healthy"


async def test_only_one_turn_probes_at_a_time() -> None:
    time = Time()
    async with upstreams(status(500), saying("good")) as (bad, good):
        models = {"m": [at(bad, "bad", order=1), at(good, "good")]}
        async with router(models, time=time, allowed_fails=0) as made:
            await ask(made)
            time.at += 10
            gate = asyncio.Event()

            async def waiting(exchange: Any) -> None:
                await gate.wait()
                await saying("back")(exchange)

            bad._answers = [waiting]
            probe = asyncio.create_task(ask(made))
            while len(bad.exchanges) < 2:
                await asyncio.sleep(0.01)
            assert (await ask(made)).by == "good"
            gate.set()
            assert (await probe).by == "bad"
            assert (await ask(made)).by == "bad"


async def test_a_probe_whose_client_left_lets_the_next_turn_try() -> None:
    time = Time()
    async with upstreams(status(500), saying("good")) as (bad, good):
        models = {"m": [at(bad, "bad", order=1), at(good, "good")]}
        async with router(models, time=time, allowed_fails=0) as made:
            await ask(made)
            time.at += 10
            bad._answers = [saying("back")]
            left = made.batches(turn(), record())
            await anext(left)
            await left.aclose()
            assert (await ask(made)).by == "bad"


async def test_an_upstream_that_names_a_time_is_left_alone_so_long() -> None:
    time = Time()
    async with upstreams(status(429, Retry_After="20"), saying("good")) as (bad, good):
        models = {"m": [at(bad, "bad", order=1), at(good, "good")]}
        async with router(models, time=time) as made:
            await shares(made, 3)
            time.at += 19
            await ask(made)
            assert len(bad.exchanges) == 1
            time.at += 2
            await ask(made)
            assert len(bad.exchanges) == 2


async def test_a_turns_own_fault_cools_nothing_down() -> None:
    async with (
        upstreams(status(400)) as (bad,),
        router({"m": [at(bad, "bad")]}, allowed_fails=0) as made,
    ):
        with pytest.raises(UpstreamRefused):
            await ask(made)
        assert made.health["bad"] == "healthy"


async def test_one_that_cools_down_is_still_asked_if_nobody_else_is_left() -> None:
    time = Time()
    async with (
        upstreams(status(500)) as (only,),
        router({"m": [at(only)]}, time=time, allowed_fails=0) as made,
    ):
        with pytest.raises(UpstreamRefused):
            await ask(made)
        only._answers = [saying("well again")]
        assert (await ask(made)).text == "well again"


async def test_nothing_cools_down_where_that_is_switched_off() -> None:
    async with upstreams(status(500), saying("b")) as (a, b):
        models = {"m": [at(a, "a", order=1), at(b, "b")]}
        async with router(models, allowed_fails=0, cooldowns=False) as made:
            await shares(made, 4)
    assert len(a.exchanges) == 4


async def test_all_gone_is_told_as_unavailable() -> None:
    async with router({"m": [at(nobody()), at(nobody())]}) as made:
        with pytest.raises(UpstreamUnavailable):
            await ask(made)


async def test_a_stream_that_began_before_a_cooldown_does_not_end_it() -> None:
    time = Time()
    async with upstreams(saying("a"), saying("b")) as (a, b):
        models = {"m": [at(a, "a", order=1), at(b, "b")]}
        async with router(models, time=time, allowed_fails=0, cooldown_s=30) as made:
            batches = made.batches(turn(), record())
            await anext(batches)
            a._answers = [status(500)]
            await ask(made)
            async for _ in batches:
                pass
            assert made.health["a"] == "cooling"


async def test_a_caller_without_patience_cools_nothing_down() -> None:
    async with upstreams(stall, saying("b")) as (a, b):
        models = {"m": [at(a, "a", order=1), at(b, "b")]}
        async with router(models, allowed_fails=0) as made:
            with pytest.raises(UpstreamTimeout):
                await ask(made, noted=record(caller=Caller("eve", timeout_s=0.05)))
            assert made.health["a"] == "healthy"


async def test_a_caller_cannot_have_an_upstream_asked_without_end() -> None:
    async with (
        upstreams(status(500)) as (bad,),
        router({"m": [at(bad)]}, time=Time(), cooldowns=False) as made,
    ):
        with pytest.raises(UpstreamRefused):
            await ask(made, noted=record(caller=Caller("eve", retries=1000)))
    assert len(bad.exchanges) == 11


async def test_readiness_says_how_many_deployments_are_well() -> None:
    async with upstreams(status(500), saying("b")) as (a, b):
        app = ResponsesApp(
            store="memory://",
            models={"m": [at(a, "a", order=1), at(b, "b")]},
            routing=Routing(allowed_fails=0),
        )
        async with app.lifespan(), openai_client(app) as client:
            await client.responses.create(model="m", input="hi")
            ready = await client._client.get("http://test/v1/health/ready")
    assert ready.json() == {"status": "ok", "deployments": {"healthy": 1, "cooling": 1}}
