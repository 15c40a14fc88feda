"""The official client reads the same recordings: what it understands, the decoder does alike."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from cases import Recording, needs_recordings
from chat_cases import (
    TURN,
    adapter_for,
    chat_recordings,
    chunks_of,
    decode_stream,
    reasoning_of,
    text_of,
)
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError

from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    RefusalDelta,
    Stopped,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)

UNREADABLE = {"mistral", "snowflake", "azure", "openai_chat"}
"""Vendors some of whose answers the client's own types refuse: lists as content, absent fields."""

LEFT_OUT = {
    # broken off by the upstream
    "groq/pydantic-ai-groq-tool-use-failed-error-streaming-0",
    "openrouter/pydantic-ai-openrouter-openrouter-stream-error-0",
    "local_llamacpppython/chat-tool-required-stream",
    "local_llamacpppython/chat-tool-named-stream",  # the client joins the id, sent in each piece
}
RECORDINGS = [found for found in chat_recordings() if found.id not in LEFT_OUT]
REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def understood_by_client(recording: Recording) -> ChatCompletion | None:
    """None where the vendor's JSON does not satisfy the client's own types."""
    # Groq's tiers are not among those that the client knows.
    chunks = [{**chunk, "service_tier": None} for chunk in chunks_of(recording)]
    try:
        if not recording.streamed:
            return ChatCompletion.model_validate(chunks[0])
        state = ChatCompletionStreamState()
        for chunk in chunks:
            parsed = ChatCompletionChunk.model_validate({"created": 0, **chunk})
            if parsed.choices or parsed.usage:
                state.handle_chunk(parsed)
        return state.current_completion_snapshot
    except ValidationError:
        return None


def understood_by_decoder(recording: Recording) -> list[Delta]:
    """With <think> left where it stands: the client does not know it."""
    plain = replace(adapter_for(recording).dialect, think_tags=False)
    adapter = ChatCompletions(plain)
    if recording.streamed:
        return decode_stream(adapter, recording.body)
    return list(adapter.decode(recording.body, TURN))


READABLE = [
    (recording, completion)
    for recording in RECORDINGS
    if (completion := understood_by_client(recording)) is not None
]


@pytest.mark.parametrize(
    ("recording", "completion"), READABLE, ids=[str(recording) for recording, _ in READABLE]
)
def test_decoder_and_official_client_agree(recording: Recording, completion: ChatCompletion):
    deltas = understood_by_decoder(recording)
    choice = completion.choices[0]
    message = choice.message
    extra = message.model_extra or {}

    assert text_of(deltas) == (message.content or "")
    assert refusal_of(deltas) == (message.refusal or "")
    assert calls_of(deltas) == calls_of_client(message)
    assert reasoning_of(deltas) == (extra.get("reasoning_content") or extra.get("reasoning") or "")
    assert stopped(deltas) == REASONS.get(choice.finish_reason, "stop")
    check_info(deltas, completion)
    check_usage(deltas, completion)
    wanted = [found.url_citation.url for found in message.annotations or () if found.url_citation]
    assert [found.annotation["url"] for found in of(AnnotationAdded, deltas)] == wanted


@needs_recordings
def test_the_client_reads_most_vendors():
    """Without this, the comparison could shrink to nothing and nobody would see it."""
    assert len(READABLE) > 0.8 * len(RECORDINGS)
    unread = {recording.provider for recording in RECORDINGS} - {
        found.provider for found, _ in READABLE
    }
    assert unread <= UNREADABLE


def of(kind: type, deltas: Iterable[Delta]) -> list:
    return [delta for delta in deltas if isinstance(delta, kind)]


def refusal_of(deltas):
    return "".join(delta.text for delta in of(RefusalDelta, deltas))


def calls_of(deltas):
    calls = {call.key: [call.call_id, call.name, ""] for call in of(ToolCallStarted, deltas)}
    for piece in of(ToolCallDelta, deltas):
        calls[piece.key][2] += piece.arguments
    return list(calls.values())


def calls_of_client(message):
    if message.tool_calls:
        return [
            [call.id or None, call.function.name, call.function.arguments or ""]
            for call in message.tool_calls
        ]
    old = message.function_call
    return [[None, old.name, old.arguments]] if old is not None and old.name else []


def stopped(deltas):
    (stop,) = of(Stopped, deltas)
    return stop.reason


def check_info(deltas, completion):
    info = of(UpstreamInfo, deltas)[0]
    assert info.model == completion.model
    assert info.upstream_id == (completion.id or None)


def check_usage(deltas, completion):
    usage = completion.usage
    if usage is None:
        assert not of(UsageReported, deltas)
        return
    (ours,) = of(UsageReported, deltas)
    assert ours.input_tokens == usage.prompt_tokens
    sums_up = usage.prompt_tokens + usage.completion_tokens == usage.total_tokens
    if sums_up:
        assert ours.output_tokens == usage.completion_tokens
    written = usage.completion_tokens_details
    if sums_up and written is not None:
        assert ours.reasoning_tokens == min(written.reasoning_tokens or 0, usage.completion_tokens)
    read = usage.prompt_tokens_details
    if read is not None and read.cached_tokens is not None:
        # Grok on Azure reports more cached tokens than there are tokens.
        assert ours.cached_tokens == min(read.cached_tokens, usage.prompt_tokens)
