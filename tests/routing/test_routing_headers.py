"""What the headers of a request say to the router, over HTTP."""

import logging
from typing import Any

import openai
import pytest
from routed import at, saying, stall, status, upstreams

from responses_mw import ResponsesApp
from responses_mw.router import Routing
from responses_mw.testing import openai_client


def application(models: dict[str, Any], **routing: Any) -> ResponsesApp:
    return ResponsesApp(store="memory://", models=models, routing=Routing(**routing))


@pytest.mark.parametrize("header", ["x-session-id", "x-litellm-session-id", "x-litellm-trace-id"])
async def test_a_session_stays_with_the_deployment_that_answered_it(header: str) -> None:
    async with upstreams(*[saying(id) for id in "abc"]) as places:
        models = {"m": [at(place, id) for place, id in zip(places, "abc", strict=True)]}
        app = application(models, checks=["session_affinity"])
        async with app.lifespan(), openai_client(app) as client:
            for session in ("s1", "s2"):
                headers = {header: session}
                said = {
                    (
                        await client.responses.create(model="m", input="hi", extra_headers=headers)
                    ).output_text
                    for _ in range(8)
                }
                assert len(said) == 1


async def test_a_request_may_say_how_long_it_waits() -> None:
    async with upstreams(stall) as (silent,):
        app = application({"m": [at(silent)]})
        async with app.lifespan(), openai_client(app) as client:
            with pytest.raises(openai.InternalServerError) as late:
                await client.responses.create(
                    model="m", input="hi", extra_headers={"x-litellm-timeout": "0.1"}
                )
    assert late.value.status_code == 504


async def test_a_request_may_say_how_often_it_is_tried_again() -> None:
    async with upstreams(status(500), status(500)) as (bad, worse):
        app = application({"m": [at(bad)]}, backoff_s=0.001, cooldowns=False)
        async with app.lifespan(), openai_client(app) as client:
            for retries in ("2", "0"):
                with pytest.raises(openai.InternalServerError):
                    await client.responses.create(
                        model="m", input="hi", extra_headers={"x-litellm-num-retries": retries}
                    )
    assert len(bad.exchanges) == 3 + 1
    assert worse.exchanges == []


async def test_others_of_litellms_headers_are_named_in_a_warning_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "responses_mw")
    async with upstreams(saying("a")) as (a,):
        app = application({"m": [at(a)]})
        async with app.lifespan(), openai_client(app) as client:
            for _ in range(3):
                headers = {
                    "x-litellm-enable-message-redaction": "true",
                    "x-litellm-tags": "blue",
                    "x-other": "1",
                }
                await client.responses.create(model="m", input="hi", extra_headers=headers)
    said = [line.getMessage() for line in caplog.records if "x-litellm" in line.getMessage()]
    assert said == ["the header x-litellm-enable-message-redaction has no effect here"]
