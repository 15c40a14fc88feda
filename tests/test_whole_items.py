"""Items that a provider says whole: what is wrong with one is said at its own turn, and what is
kept never breaks a later one."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from items_sampled import SAMPLES
from test_assembler import assembler, kinds
from test_hooks import create, events, served

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.conversation import rebuild
from responses_mw.deltas import OutputItem, Stopped, TextDelta, ToolCallStarted
from responses_mw.errors import InvalidRequest, UpstreamProtocolError
from responses_mw.replay import replay
from responses_mw.testing import ScriptedProvider, check_event_order
from responses_mw.turn import Span, Turn
from stores.base import History, StoredTurn

CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}"}
ADAPTERS: list[Adapter] = [
    AnthropicMessages(),
    BedrockConverse(),
    ChatCompletions(),
    Gemini(),
    OpenAIResponses(),
]

WRONG = [
    ({**CALL, "call_id": None}, "'call_id' is required"),
    ({**CALL, "call_id": 7}, "'call_id' must be a string, not an integer"),
    ({**CALL, "call_id": "c0"}, "'call_id' is used by two calls of this answer"),
    ({"type": "of_tomorrow", "call_id": ["c"]}, "'call_id' must be a string, not an array"),
    ({"type": "message", "role": "assistant", "content": [{}]}, r"'content\[0\].type' is required"),
    ({"type": "message", "role": "user", "content": "Hi."}, "'role' must be one of 'assistant'"),
    ({"role": "assistant", "content": "Hi."}, "'type' is required"),
    ({"type": "web_search_call", "action": {"query": {"x"}}}, "it is no JSON .*set"),
    ({"type": "web_search_call", "action": {"query": "\ud800"}}, "it is no JSON .*surrogates"),
]


@pytest.mark.parametrize(("item", "problem"), WRONG)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_item_that_nobody_could_read_again_is_its_providers_mistake(
    item: dict[str, Any], problem: str, stream: bool
) -> None:
    said = [TextDelta("See"), OutputItem({**CALL, "call_id": "c0"}), OutputItem(item), Stopped()]
    async with served(ScriptedProvider(said, "Well.")) as http:
        answer = await create(http, stream=stream)
        assert answer.status_code == 200
        response = events(answer)[-1]["response"] if stream else answer.json()
        kept = (await http.get(f"/responses/{response['id']}")).json()
        next = await create(http, previous_response_id=response["id"])

    assert response["error"]["code"] == "upstream_protocol_error"
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(response["error"]["message"])
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]
    assert kept == response
    assert next.json()["status"] == "completed"


async def test_such_an_item_before_anything_else_leaves_nothing_behind() -> None:
    said = [OutputItem({**CALL, "call_id": None}), Stopped()]
    async with served(ScriptedProvider(said)) as http:
        conversation = (await http.post("/conversations", json={})).json()["id"]
        answer = await create(http, conversation=conversation)
        items = (await http.get(f"/conversations/{conversation}/items")).json()

    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_protocol_error"
    assert items["data"] == []


def test_the_same_call_id_from_two_calls_of_a_stream_is_replaced_in_the_second() -> None:
    it = assembler()
    it.start()
    for key in "ab":
        it.feed(ToolCallStarted(key, "add", "c1"))
    it.finish()
    first, second = it.output
    assert first["call_id"] == "c1"
    assert second["call_id"].startswith("call_")


def test_a_message_may_have_plain_text() -> None:
    it = assembler()
    it.feed(OutputItem({"type": "message", "role": "assistant", "content": "Hi."}))
    [message] = it.output
    said = {"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}
    assert message["content"] == [said]


def test_what_a_provider_does_to_its_item_later_changes_nothing() -> None:
    it, action = assembler(), {"type": "search", "query": "a"}
    it.feed(OutputItem({"type": "web_search_call", "action": action}))
    action["query"] = "b"
    assert it.output[0]["action"]["query"] == "a"


ODD = st.sampled_from([None, 7, True, "", "x" * 70, "\ud800", [], [None], [{}], ["x"], {}])
SAMPLED = st.sampled_from([{"type": "message", **sample} for sample in SAMPLES])


@st.composite
def odd_items(draw: st.DrawFn) -> dict[str, Any]:
    item = dict(draw(SAMPLED))
    key = draw(st.sampled_from([*item, "call_id", "namespace", "type", "status"]))
    if draw(st.booleans()):
        item[key] = draw(ODD)
    else:
        item.pop(key, None)
    return item


@given(items=st.lists(odd_items(), max_size=3))
def test_whatever_is_kept_can_be_told_again_and_sent_on(items: list[dict[str, Any]]) -> None:
    it = assembler()
    told = it.start()
    try:
        for item in items:
            told += it.feed(OutputItem(item))
    except UpstreamProtocolError as error:
        told += it.fail(error)
    else:
        told += it.finish()

    check_event_order(orjson.loads(orjson.dumps(told)))
    again = replay(it.envelope, it.output, it.cuts)
    assert kinds(again) == kinds(told)
    history = History(it.status, [StoredTurn([], it.output)])
    try:
        spans = rebuild(history, [Span([{"type": "message", "role": "user", "content": []}])])
    except InvalidRequest:  # a call that waits for its output
        return
    for adapter in ADAPTERS:
        try:
            orjson.dumps(adapter.encode(Turn(model="m", spans=spans)).body)
        except InvalidRequest:
            continue
