"""Recorded tool loops: the second request, rebuilt from the first exchange, is what was sent.

What counts is what the model reads: roles, words, calls and their ids, signatures. Spelling (null
or "", one text or a list with one) is each client's own.
"""

import json
import re

import pytest
from cases import SHARED, Recording, needs_recordings
from chat_cases import adapter_for, chat_recordings, decode_stream

from responses_mw.deltas import NativeTurn
from responses_mw.testing import play_recording
from responses_mw.turn import Span, Turn

CHAT = {recording.id: recording for recording in chat_recordings()}
THOUGHT = re.compile(r"^<think>.*</think>", re.DOTALL)
"""One of the recorded clients told reasoning as text; here it has a field of its own."""


def _loops():
    if SHARED is None:
        return []
    pairs = json.loads((SHARED / "recordings" / "loops.json").read_bytes())
    return [
        (CHAT[pair["first"]], CHAT[pair["next"]])
        for pair in pairs
        if pair["first"] in CHAT and pair["next"] in CHAT
    ]


LOOPS = _loops()


@needs_recordings
@pytest.mark.parametrize(("first", "then"), LOOPS, ids=[str(pair[0]) for pair in LOOPS])
def test_the_next_request_is_rebuilt_from_the_exchange_before(first: Recording, then: Recording):
    assert first.request
    assert then.request
    adapter = adapter_for(first)
    before, after = first.request["messages"], then.request["messages"]
    said = len(before)
    assert after[said]["role"] == "assistant"
    turn = Turn(
        model=first.request["model"],
        spans=[
            Span([item for message in before for item in items_of(message)]),
            answer_of(first),
            Span([item for message in after[said + 1 :] for item in items_of(message)]),
        ],
    )

    sent = adapter.encode(turn).body["messages"]

    assert [plain(message) for message in sent] == [plain(message) for message in after]


@needs_recordings
def test_loops_of_many_vendors_are_there():
    assert len({first.provider for first, _ in LOOPS}) >= 9


def answer_of(recording: Recording) -> Span:
    adapter = adapter_for(recording)
    turn = Turn(model=recording.request["model"], spans=())
    response = play_recording(adapter, recording.path, turn=turn)[-1]["response"]
    if recording.streamed:
        deltas = decode_stream(adapter, recording.body, turn)
    else:
        deltas = list(adapter.decode(recording.body, turn))
    native = [delta for delta in deltas if isinstance(delta, NativeTurn)]
    return Span(response["output"], native[0] if native else None)


def items_of(message):
    """A recorded chat message as the Responses items that say the same."""
    content = message.get("content")
    match message["role"]:
        case "tool":
            output = content if isinstance(content, str) else content[0]["text"]
            yield {
                "type": "function_call_output",
                "call_id": message["tool_call_id"],
                "output": output,
            }
        case "assistant":
            if content:
                yield message_item("assistant", content, "output_text")
            for call in message.get("tool_calls") or ():
                yield {"type": "function_call", "call_id": call["id"], **call["function"]}
        case role:
            yield message_item(role, content, "input_text")


def message_item(role, content, kind):
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    parts = [
        {"type": kind, "text": part["text"]}
        if part["type"] == "text"
        else {"type": "input_image", "image_url": part["image_url"]["url"]}
        for part in content
    ]
    return {"type": "message", "role": role, "content": parts}


def plain(message):
    content = message.get("content") or ""
    if isinstance(content, list) and all(part["type"] == "text" for part in content):
        content = "\n".join(part["text"] for part in content)
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
    if isinstance(content, str):
        content = THOUGHT.sub("", content)
    signed = [
        (detail["type"], detail["text"], detail["signature"])
        for detail in message.get("reasoning_details") or ()
    ]
    return message["role"], content, calls, message.get("tool_call_id"), signed
