"""What clients see of upstreams that refuse, are slow, or break."""

import httpx2
import openai
import pytest
from scripted import serving

from responses_mw.deltas import (
    TextDelta,
    UpstreamInfo,
)
from responses_mw.errors import UpstreamRefused, UpstreamUnavailable
from responses_mw.testing import check_event_order, openai_client
from responses_mw.testing.asgi import InProcessTransport
from stores import MemoryStore


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstreams_refusal_arrives_as_itself_and_nothing_is_stored(stream: bool) -> None:
    refusal = UpstreamRefused(
        "slow down", status=429, type="rate_limit_error", code="rate_limit_exceeded", retry_after=7
    )
    app, _ = serving(refusal)
    async with app.lifespan(), openai_client(app) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.responses.create(model="m", input="hi", stream=stream)
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.code == "rate_limit_exceeded"
    assert isinstance(app.store, MemoryStore)


async def test_an_upstream_that_dies_mid_stream_leaves_a_failed_response() -> None:
    broken = [UpstreamInfo(), TextDelta("half a "), UpstreamUnavailable("the connection broke")]
    app, provider = serving(broken, "the other half")
    async with app.lifespan(), openai_client(app) as client:
        stream = await client.responses.create(model="m", input="hi", stream=True)
        events = [event async for event in stream]
        check_event_order([event.model_dump(exclude_unset=True) for event in events])
        last = events[-1]
        assert last.type == "response.failed"
        kept = await client.responses.retrieve(last.response.id)
        assert kept == last.response
        assert kept.status == "failed"
        assert kept.output_text == "half a "
        assert kept.error is not None
        assert kept.error.message == "the connection broke"
        await client.responses.create(model="m", input="go on", previous_response_id=kept.id)
    texts = [item["content"][0]["text"] for item in provider.turns[1].items]
    assert texts == ["hi", "half a ", "go on"]


async def test_an_upstream_that_dies_within_a_whole_answer_leaves_what_it_said() -> None:
    app, _ = serving([TextDelta("half"), UpstreamUnavailable("the connection broke")])
    async with app.lifespan(), openai_client(app) as client:
        response = await client.responses.create(model="m", input="hi")
        assert response.status == "failed"
        assert response.output_text == "half"
        assert (await client.responses.retrieve(response.id)) == response


async def test_a_providers_own_bug_is_a_failed_response_and_tells_nothing() -> None:
    app, _ = serving([TextDelta("x"), ZeroDivisionError("secret detail")])
    async with app.lifespan(), openai_client(app) as client:
        stream = await client.responses.create(model="m", input="hi", stream=True)
        last = [event async for event in stream][-1]
    assert last.type == "response.failed"
    assert "secret" not in last.to_json()


async def test_a_slow_upstream_does_not_hold_the_status_line_for_ever() -> None:
    late = UpstreamRefused("no", status=401, type="authentication_error", code="invalid_api_key")
    app, _ = serving([0.2, late], hold_status_s=0.05, keep_alive_s=0.03)
    async with app.lifespan():
        transport = InProcessTransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
            body = {"model": "m", "input": "hi", "stream": True}
            answer = await http.post("/responses", json=body)
            assert answer.status_code == 200
            assert ": keep-alive\n\n" in answer.text
            assert answer.text.count("event: response.failed") == 1
            assert '"code":"invalid_api_key"' in answer.text
