"""A provider that does not take its own reasoning back is asked once more without it, visibly."""

from typing import Any

import pytest
from bedrock_turns import CLAUDE as BEDROCK_CLAUDE
from messages_turns import call, message, output, turn
from test_vertex_claude import MODEL as VERTEX_MODEL
from upstream import Answer, Exchange, upstream

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.gemini_contents import SKIP_SIGNATURE
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.vertex import VertexClaude
from responses_mw.deltas import Delta, NativeTurn, UpstreamInfo
from responses_mw.errors import UpstreamRefused
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Span, Turn

MESSAGES = AnthropicMessages(cache=None)
CLAUDES: dict[str, tuple[Adapter, str]] = {
    "anthropic": (MESSAGES, "claude-sonnet-4-5"),
    "vertex": (VertexClaude(messages=MESSAGES), VERTEX_MODEL),
    "bedrock": (BedrockInvoke(messages=MESSAGES), BEDROCK_CLAUDE),
}
THINKING = {"type": "thinking", "thinking": "Look.", "signature": "c2lnbmVk"}
TOOL_USE = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
SAYS_HI = {
    "model": "claude",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {},
}
INVALID_THINKING = "messages.1.content.0: Invalid `signature` in `thinking` block"


def refuses(message: str, status: int = 400) -> Answer:
    async def answer(exchange: Exchange) -> None:
        error = {"type": "invalid_request_error", "message": message}
        await exchange.whole({"error": error}, status)

    return answer


def says(body: Any) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.whole(body)

    return answer


async def asked(adapter: Adapter, question: Turn, *answers: Answer) -> tuple[list[Any], Any]:
    """The bodies that were sent, and what is said to have been left out."""
    async with upstream(*answers) as it:
        provider = HTTPProvider(adapter, base_url=it.url)
        try:
            deltas: list[Delta] = [delta async for delta in provider.stream(question)]
        finally:
            await provider.aclose()
            bodies = [exchange.json for exchange in it.exchanges]
    first = deltas[0]
    assert isinstance(first, UpstreamInfo)
    return bodies, first.dropped


def loop(adapter: Adapter, model: str, state: list[Any], **options: Any) -> Turn:
    """A call that is in the provider's own form, and its output."""
    asks = turn(message("user", "Hi"), model=model, **options)
    said = Span([call("c1")], NativeTurn(adapter.scope(asks), state))
    return Turn(model=model, spans=[*asks.spans, said, Span([output("c1")])], **options)


# --- Claude


@pytest.mark.parametrize("platform", CLAUDES)
async def test_claude_is_asked_again_without_the_thinking_it_refused(platform: str) -> None:
    adapter, model = CLAUDES[platform]
    question = loop(adapter, model, [THINKING, TOOL_USE])
    (first, second), dropped = await asked(
        adapter, question, refuses(INVALID_THINKING), says(SAYS_HI)
    )
    assert first["messages"][1]["content"] == [THINKING, TOOL_USE]
    assert second["messages"][1]["content"] == [TOOL_USE]
    assert {**second, "messages": first["messages"]} == first
    assert dropped == ("input.reasoning",)


async def test_a_budget_for_thinking_ends_with_the_thinking_of_its_loop() -> None:
    """The API refuses to go on in a loop of tools with thinking that began without it."""
    question = loop(MESSAGES, "claude-sonnet-4-5", [THINKING, TOOL_USE], reasoning_effort="low")
    (first, second), dropped = await asked(
        MESSAGES, question, refuses(INVALID_THINKING), says(SAYS_HI)
    )
    assert first["thinking"]["type"] == "enabled"
    assert "thinking" not in second
    assert dropped == ("input.reasoning", "reasoning.effort")


@pytest.mark.parametrize(
    "said",
    [
        "messages.3: `thinking` or `redacted_thinking` blocks in the latest assistant message "
        "cannot be modified",
        "messages.1.content.0: this thinking block is bound to a different conversation",
    ],
)
async def test_every_word_for_refused_thinking_is_known(said: str) -> None:
    question = loop(MESSAGES, "claude-sonnet-4-5", [THINKING, TOOL_USE])
    bodies, _ = await asked(MESSAGES, question, refuses(said), says(SAYS_HI))
    assert len(bodies) == 2


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        ([TOOL_USE], refuses(INVALID_THINKING)),
        ([THINKING, TOOL_USE], refuses("max_tokens: must be greater than thinking.budget_tokens")),
        ([THINKING, TOOL_USE], refuses(INVALID_THINKING, 500)),
    ],
    ids=["nothing to leave out", "another refusal", "another status"],
)
async def test_any_other_refusal_stands(state: list[Any], refusal: Answer) -> None:
    question = loop(MESSAGES, "claude-sonnet-4-5", state)
    with pytest.raises(UpstreamRefused):
        await asked(MESSAGES, question, refusal, says(SAYS_HI))


CONVERSE = BedrockConverse(cache=None)
REASONED = {"reasoningContent": {"reasoningText": {"text": "Look.", "signature": "c2ln"}}}
TOOL_USED = {"toolUse": {"toolUseId": "c1", "name": "look", "input": {}}}
CONVERSE_SAYS_HI = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
    "stopReason": "end_turn",
}


@pytest.mark.parametrize("effort", [None, "low"])
async def test_converse_is_asked_again_without_the_reasoning_it_refused(effort: str | None) -> None:
    question = loop(CONVERSE, BEDROCK_CLAUDE, [REASONED, TOOL_USED], reasoning_effort=effort)
    (first, second), dropped = await asked(
        CONVERSE, question, refuses(INVALID_THINKING), says(CONVERSE_SAYS_HI)
    )
    assert first["messages"][1]["content"] == [REASONED, TOOL_USED]
    assert second["messages"][1]["content"] == [TOOL_USED]
    assert bool(first.get("additionalModelRequestFields")) == (effort is not None)
    assert not second.get("additionalModelRequestFields")
    assert dropped == ("input.reasoning", *(["reasoning.effort"] if effort else []))


async def test_a_second_refusal_stands() -> None:
    question = loop(MESSAGES, "claude-sonnet-4-5", [THINKING, TOOL_USE])
    with pytest.raises(UpstreamRefused):
        await asked(MESSAGES, question, refuses(INVALID_THINKING))


# --- Gemini

SIGNED_CALL = {"functionCall": {"name": "look", "args": {}, "id": "c1"}, "thoughtSignature": "c2"}
SIGNED = [{"text": "I look."}, SIGNED_CALL, {"text": "", "thoughtSignature": "c3"}]
GEMINI_SAYS_HI = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}


@pytest.mark.parametrize(
    ("model", "signature"),
    [("gemini-3-pro-preview", {"thoughtSignature": SKIP_SIGNATURE}), ("gemini-2.5-pro", {})],
)
@pytest.mark.parametrize("said", ["Corrupted thought signature.", "Invalid thought_signature"])
async def test_gemini_is_asked_again_without_the_signatures_it_refused(
    model: str, signature: dict[str, str], said: str
) -> None:
    adapter = Gemini()
    question = loop(adapter, model, SIGNED)
    (first, second), dropped = await asked(adapter, question, refuses(said), says(GEMINI_SAYS_HI))
    assert first["contents"][1]["parts"] == SIGNED
    unsigned = {"functionCall": SIGNED_CALL["functionCall"], **signature}
    assert second["contents"][1]["parts"] == [{"text": "I look."}, unsigned]
    assert [content["role"] for content in second["contents"]] == ["user", "model", "user"]
    assert dropped == ("input.reasoning",)


async def test_a_content_of_nothing_but_a_signature_goes_with_it() -> None:
    adapter = Gemini()
    asks = turn(message("user", "Hi"), model="gemini-3-pro-preview")
    native = NativeTurn(adapter.scope(asks), [{"thoughtSignature": "c2"}])
    again = Span([message("user", "Go on.")])
    question = Turn(model=asks.model, spans=[*asks.spans, Span([], native), again])
    refusal = refuses("Corrupted thought signature.")
    (_, second), _ = await asked(adapter, question, refusal, says(GEMINI_SAYS_HI))
    assert [content["parts"] for content in second["contents"]] == [
        [{"text": "Hi"}],
        [{"text": "Go on."}],
    ]


async def test_what_no_signature_caused_stands() -> None:
    adapter = Gemini()
    question = loop(adapter, "gemini-3-pro-preview", SIGNED)
    with pytest.raises(UpstreamRefused):
        await asked(adapter, question, refuses("Unknown field."), says(GEMINI_SAYS_HI))


# --- Responses


async def test_responses_upstream_is_asked_again_without_what_it_cannot_decrypt() -> None:
    adapter = OpenAIResponses()
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    theirs = {"type": "function_call", "id": "fc_1", **call("c1")}
    question = loop(adapter, "gpt-5", [])
    said = Span([call("c1")], NativeTurn(adapter.scope(question), {"items": [reasoning, theirs]}))
    question = Turn(model="gpt-5", spans=[question.spans[0], said, question.spans[2]])
    answer = {"status": "completed", "output": [], "usage": None}
    (first, second), dropped = await asked(
        adapter, question, refuses("The encrypted content could not be verified."), says(answer)
    )
    assert [item["type"] for item in first["input"]][1:3] == ["reasoning", "function_call"]
    assert "reasoning" not in [item["type"] for item in second["input"]]
    assert dropped == ("input.reasoning",)
