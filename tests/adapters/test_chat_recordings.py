"""Every recorded chat completions answer becomes a legal response: whole, in pieces, cut short."""

import json

import pytest
from cases import (
    Recording,
    needs_recordings,
    one_stream_per_vendor_and_feature,
    recorded,
    truncations,
)
from chat_cases import (
    TURN,
    adapter_for,
    chat_recordings,
    chunks_of,
    decode_stream,
    is_chat,
    merged,
    stream_of,
)

from responses_mw.errors import UpstreamProtocolError, UpstreamRefused
from responses_mw.testing import check_event_order, play_recording

ENDS = ("response.completed", "response.incomplete", "response.failed")
WHOLE = chat_recordings("json")
STREAMED = chat_recordings("sse")
REFUSED = [recording for recording in chat_recordings(status=None) if recording.status >= 400]
EVERY_CUT = one_stream_per_vendor_and_feature(STREAMED)
CUT = [(r, None) for r in EVERY_CUT] + [(r, 20) for r in STREAMED if r not in EVERY_CUT]

FAILED = {
    "groq/pydantic-ai-groq-tool-use-failed-error-streaming-0",  # an error event
    "openrouter/pydantic-ai-openrouter-openrouter-stream-error-0",  # an error in a chunk
    "local_llamacpppython/chat-tool-required-stream",  # the server broke off
}
SAID_NOTHING = {
    "azure/openllmetry-azure-chat-content-filtering-0",  # blocked before the first word
    "openai_chat/mirascope-openai-gpt-5-mini-completions-async-0",  # all tokens went into reasoning
    "openai_chat/mirascope-openai-gpt-5-mini-completions-async-stream-0",
    "openai_chat/mirascope-openai-gpt-5-mini-completions-stream-0",
}


def ends(events):
    return [event["type"] for event in events if event["type"] in ENDS]


@pytest.mark.parametrize("recording", WHOLE + STREAMED, ids=str)
def test_a_recorded_answer_becomes_a_legal_response(recording: Recording):
    events = play_recording(adapter_for(recording), recording.path)

    check_event_order(events)
    response = events[-1]["response"]
    assert (response["status"] == "failed") == (recording.id in FAILED)
    if recording.id not in FAILED:
        assert bool(response["output"]) != (recording.id in SAID_NOTHING)


@pytest.mark.parametrize("recording", STREAMED, ids=str)
def test_single_bytes_give_the_same_events(recording: Recording):
    adapter = adapter_for(recording)
    at_once = play_recording(adapter, recording.path)
    bytewise = play_recording(adapter, recording.path, chunk=1)
    assert _comparable(bytewise) == _comparable(at_once)


def _comparable(events):
    """`completed_at` is the time of the test."""
    return json.dumps(events[:-1]) + json.dumps({**events[-1]["response"], "completed_at": None})


@pytest.mark.parametrize(("recording", "at_most"), CUT, ids=str)
def test_a_stream_cut_short_still_ends_once(recording: Recording, at_most: int | None):
    adapter = adapter_for(recording)
    for body in truncations(recording, at_most=at_most):
        events = play_recording(adapter, body)
        check_event_order(events)
        assert len(ends(events)) == 1
        # Only an answer whose end was said may pass for a whole one.
        finished = any(
            choice.get("finish_reason")
            for chunk in _chunks(body)
            for choice in chunk.get("choices") or ()
        )
        assert finished or ends(events) == ["response.failed"]


def _chunks(body: bytes):
    lines = (line for line in body.split(b"\n") if line.startswith(b"data: {"))
    return [json.loads(line[6:]) for line in lines]


@pytest.mark.parametrize("recording", WHOLE, ids=str)
def test_a_whole_answer_and_its_stream_say_the_same(recording: Recording):
    """Nobody was recorded answering alike both ways, so the stream is made from the answer."""
    adapter = adapter_for(recording)
    whole = adapter.decode(recording.body, TURN)
    streamed = decode_stream(adapter, stream_of(_as_chunks(chunks_of(recording)[0])), TURN)
    assert merged(streamed) == merged(whole)


def _as_chunks(body):
    """The stream that a server might have sent for this answer: words in pieces of five letters."""
    choice = body["choices"][0]
    message = dict(choice.get("message") or choice.get("delta") or {})
    calls = message.pop("tool_calls", None) or []
    if calls:
        message.pop("function_call", None)  # the older form of the same call
    rest = {
        name: message.pop(name)
        for name in ("annotations", "refusal", "extra_content")
        if name in message
    }
    content = message.pop("content", None)
    head = {key: value for key, value in body.items() if key not in ("choices", "usage")}

    def chunk(delta, finish_reason=None, logprobs=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
        return {**head, "choices": [choice]}

    yield chunk(message)
    if isinstance(content, list):
        yield from (chunk({"content": [part]}) for part in content)
    else:
        yield from (chunk({"content": piece}) for piece in _pieces(content or ""))
    yield chunk(rest, logprobs=choice.get("logprobs"))
    for index, call in enumerate(calls):
        function = call["function"]
        begun = {**call, "index": index, "function": {**function, "arguments": None}}
        yield chunk({"tool_calls": [begun]})
        for piece in _pieces(function["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, choice.get("finish_reason"))
    yield {**head, "choices": [], "usage": body["usage"]}


def _pieces(text):
    return [text[start : start + 5] for start in range(0, len(text), 5)]


@pytest.mark.parametrize("recording", REFUSED, ids=str)
def test_a_recorded_refusal_is_translated(recording: Recording):
    adapter = adapter_for(recording)
    error = adapter.error(recording.status, recording.meta["response_headers"], recording.body)
    assert isinstance(error, UpstreamRefused)
    assert error.message
    assert error.provider == adapter.name
    assert error.status == recording.status
    assert error.code == _expected_code(recording)


def _expected_code(recording):
    words = recording.body.decode().lower()
    if "context length" in words or "too_many_prompt_tokens" in words:
        return "context_length_exceeded"
    named = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
    if recording.status >= 500:
        return "server_error"
    if recording.status in named:
        return named[recording.status]
    code = json.loads(words)["error"].get("code")
    return code if isinstance(code, str) else None


@needs_recordings
def test_no_vendors_recordings_are_forgotten():
    providers = {recording.provider for recording in recorded() if is_chat(recording)}
    assert len(WHOLE + STREAMED) > 180
    assert {
        "openai_chat",
        "azure",
        "azure_ai",
        "groq",
        "mistral",
        "deepseek",
        "openrouter",
    } < providers
    assert {"cerebras", "perplexity", "zai", "huggingface", "snowflake", "together"} < providers


def test_a_broken_whole_answer_is_the_upstreams_fault():
    adapter = adapter_for(WHOLE[0])
    for recording in WHOLE[:10]:
        for cut in range(0, len(recording.body) - 1, max(1, len(recording.body) // 20)):
            with pytest.raises(UpstreamProtocolError):
                list(adapter.decode(recording.body[:cut], TURN))
