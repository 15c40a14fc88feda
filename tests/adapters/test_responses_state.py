"""Conversations with an upstream that may keep them itself: what is asked, and asked again."""

import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from upstream import Exchange, Upstream, upstream

from responses_mw import ResponsesApp
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.openai_responses_dialects import OPENAI
from responses_mw.deltas import NativeTurn, TextDelta
from responses_mw.testing import ScriptedProvider, openai_client
from responses_mw.transport import HTTPProvider

NUMBERS = itertools.count(1)


def reasoned(text: str) -> dict[str, Any]:
    """An answer with reasoning, under new ids."""
    n = next(NUMBERS)
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": f"resp_up{n}",
        "object": "response",
        "status": "completed",
        "model": "gpt-5",
        "output": [
            {"type": "reasoning", "id": f"rs_up{n}", "summary": [], "encrypted_content": f"gA{n}"},
            {"type": "message", "id": f"msg_up{n}", "role": "assistant", "content": content},
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    }


async def answer(exchange: Exchange) -> None:
    await exchange.whole(reasoned("Yes."))


def refuse(code: str | None, message: str, status: int = 400) -> Any:
    async def refusing(exchange: Exchange) -> None:
        error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
        await exchange.whole({"error": error}, status=status)

    return refusing


def app_for(it: Upstream, models: dict[str, Any] | None = None, **options: Any) -> ResponsesApp:
    adapter = OpenAIResponses(dialect=OPENAI, **options)
    provider = HTTPProvider(adapter, base_url=f"{it.url}/v1")
    return ResponsesApp(store="memory://", models={"gpt-5": provider, **(models or {})})


@contextlib.asynccontextmanager
async def client_of(app: ResponsesApp) -> AsyncIterator[Any]:
    async with app.lifespan(app), openai_client(app) as client:
        yield client


@pytest.fixture
async def it() -> AsyncIterator[Upstream]:
    async with upstream(answer) as found:
        yield found


def kinds(exchange: Exchange) -> list[str]:
    return [item["type"] for item in exchange.json["input"]]


async def test_reasoning_is_sent_back_from_the_store(it: Upstream) -> None:
    async with client_of(app_for(it)) as client:
        first = await client.responses.create(model="gpt-5", input="One?")
        await client.responses.create(model="gpt-5", input="Two?", previous_response_id=first.id)

    one, two = it.exchanges
    assert one.path == "/v1/responses"
    assert one.json["store"] is two.json["store"] is False
    assert "previous_response_id" not in two.json
    assert kinds(two) == ["message", "reasoning", "message", "message"]
    assert two.json["input"][1]["encrypted_content"].startswith("gA")
    assert first.output[0].id.startswith("rs_")
    assert "up" not in first.output[0].id


async def test_reasoning_is_sent_back_by_a_client_that_keeps_state_itself(it: Upstream) -> None:
    include: list[Any] = ["reasoning.encrypted_content"]
    asked: list[Any] = [{"role": "user", "content": "One?"}]
    async with client_of(app_for(it)) as client:
        first = await client.responses.create(
            model="gpt-5", input=asked, store=False, include=include
        )
        asked += [item.to_dict() for item in first.output]
        asked.append({"role": "user", "content": "Two?"})
        await client.responses.create(model="gpt-5", input=asked, store=False, include=include)

    sent = it.exchanges[1].json["input"]
    assert [item["type"] for item in sent] == ["message", "reasoning", "message", "message"]
    assert sent[1]["id"].startswith("rs_up")
    assert sent[1]["encrypted_content"].startswith("gA")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("invalid_encrypted_content", "The encrypted content gA.. could not be verified."),
        (None, "Encrypted content is not supported with this model."),
    ],
)
async def test_reasoning_that_is_refused_is_left_out(code: str | None, message: str) -> None:
    async with upstream(answer, refuse(code, message), answer) as it:
        async with client_of(app_for(it)) as client:
            first = await client.responses.create(model="gpt-5", input="One?")
            second = await client.responses.create(
                model="gpt-5", input="Two?", previous_response_id=first.id
            )
        _, refused, again = it.exchanges

    assert second.output_text == "Yes."
    assert "reasoning" in kinds(refused)
    assert kinds(again) == ["message", "message", "message"]
    assert "include" not in again.json
    assert all("id" not in item for item in again.json["input"])


async def test_another_refusal_stands() -> None:
    async with upstream(refuse(None, "No.")) as it:
        async with client_of(app_for(it)) as client:
            with pytest.raises(Exception, match=r"No\."):
                await client.responses.create(model="gpt-5", input="One?")
        assert len(it.exchanges) == 1


# --- native_state


async def test_a_chain_that_stays_is_continued_from_the_upstreams_own_id(it: Upstream) -> None:
    async with client_of(app_for(it, native_state=True)) as client:
        last: str | None = None
        for question in ("One?", "Two?", "Three?"):
            said = await client.responses.create(
                model="gpt-5", input=question, previous_response_id=last
            )
            last = said.id

    one, two, three = (exchange.json for exchange in it.exchanges)
    assert "previous_response_id" not in one
    assert one["store"] is True
    for body in (two, three):
        assert body["previous_response_id"].startswith("resp_up")
        assert len(body["input"]) == 1
    assert two["previous_response_id"] != three["previous_response_id"]


async def test_an_id_that_is_gone_is_made_up_for_by_the_whole_history() -> None:
    gone = refuse("previous_response_not_found", "Previous response not found.")
    async with upstream(answer, gone, answer) as it:
        async with client_of(app_for(it, native_state=True)) as client:
            first = await client.responses.create(model="gpt-5", input="One?")
            second = await client.responses.create(
                model="gpt-5", input="Two?", previous_response_id=first.id
            )
            await client.responses.create(
                model="gpt-5", input="Three?", previous_response_id=second.id
            )
        _, refused, again, third = (exchange.json for exchange in it.exchanges)

    assert "previous_response_id" in refused
    assert "previous_response_id" not in again
    assert [item["type"] for item in again["input"]] == [
        "message", "reasoning", "message", "message",
    ]  # fmt: skip
    assert third["previous_response_id"].startswith("resp_up")


async def test_an_upstream_that_kept_a_call_is_answered_by_its_own_ids() -> None:
    request = {"type": "mcp_approval_request", "id": "mcpr_up", "server_label": "s", "name": "n"}
    call = {"type": "function_call", "id": "fc_up", "call_id": "c" * 80, "name": "f"}
    output = [{**request, "arguments": "{}"}, {**call, "arguments": "{}"}]

    async def calling(exchange: Exchange) -> None:
        await exchange.whole({**reasoned(""), "output": output})

    async with upstream(calling, answer) as it:
        async with client_of(app_for(it, native_state=True)) as client:
            first = await client.responses.create(model="gpt-5", input="One?")
            asked, called = first.output
            answers: list[Any] = [
                {
                    "type": "mcp_approval_response",
                    "approval_request_id": asked.id,
                    "approve": True,
                },
                {"type": "function_call_output", "call_id": called.call_id, "output": "x"},
            ]
            await client.responses.create(
                model="gpt-5", input=answers, previous_response_id=first.id
            )
        sent = it.exchanges[1].json

    assert sent["previous_response_id"].startswith("resp_up")
    assert asked.id != "mcpr_up"
    assert sent["input"][0]["approval_request_id"] == "mcpr_up"
    assert sent["input"][1]["call_id"] == "c" * 80


async def test_a_chain_that_comes_from_elsewhere_is_sent_whole_once(it: Upstream) -> None:
    foreign = NativeTurn("another/adapter", ["in its own form"])
    said = ScriptedProvider(*[[TextDelta("Elsewhere."), foreign]] * 2)
    app = app_for(it, native_state=True, models={"other": said})
    async with client_of(app) as client:
        last: str | None = None
        for model in ("other", "gpt-5", "gpt-5", "other", "gpt-5"):
            response = await client.responses.create(
                model=model, input="Hm?", previous_response_id=last
            )
            last = response.id

    one, two, three = (exchange.json for exchange in it.exchanges)
    assert "previous_response_id" not in one
    assert len(one["input"]) == 3
    assert two["previous_response_id"].startswith("resp_up")
    assert len(two["input"]) == 1
    assert three["previous_response_id"].startswith("resp_up")
    assert [item["role"] for item in three["input"]] == ["user", "assistant", "user"]


async def test_what_a_client_does_not_store_is_not_stored_upstream(it: Upstream) -> None:
    async with client_of(app_for(it, native_state=True)) as client:
        first = await client.responses.create(model="gpt-5", input="One?")
        await client.responses.create(
            model="gpt-5", input="Two?", previous_response_id=first.id, store=False
        )
    body = it.exchanges[1].json
    assert body["store"] is False
    assert "previous_response_id" not in body
    assert len(body["input"]) == 4


async def test_history_that_was_erased_is_not_read_from_the_upstream(it: Upstream) -> None:
    app = app_for(it, native_state=True)
    async with client_of(app) as client:
        first = await client.responses.create(model="gpt-5", input="One?")
        second = await client.responses.create(
            model="gpt-5", input="Two?", previous_response_id=first.id
        )
        await app.store.purge("default", id=first.id)
        await client.responses.create(model="gpt-5", input="Three?", previous_response_id=second.id)

    body = it.exchanges[2].json
    assert "previous_response_id" not in body
    assert "One?" not in str(body)
    assert "Two?" in str(body)
