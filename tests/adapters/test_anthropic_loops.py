"""Two recorded steps of one conversation: from the first answer, we rebuild the second request.

That request was written by another client and accepted by the API. The differences that remain are
listed below, each with the reason why it changes nothing.
"""

import json
from typing import Any

import pytest
from cases import SHARED, Recording, needs_recordings, recorded
from messages_cases import deltas_of

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import NativeTurn
from responses_mw.turn import Item, Span, Turn

REBUILDING = AnthropicMessages(cache=None)


def loops() -> list[tuple[Recording, Recording]]:
    if SHARED is None:
        return []
    by_id = {recording.id: recording for recording in recorded("anthropic")}
    pairs = json.loads((SHARED / "recordings" / "loops.json").read_bytes())
    return [(by_id[p["first"]], by_id[p["next"]]) for p in pairs if p["provider"] == "anthropic"]


def normalised(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The accepted differences:

    - content as a string is short for one text block, in messages and in tool results;
    - `cache_control` marks are hints, and each client places its own;
    - `is_error: false`, `caller: direct` and `citations: null` say what their absence says.
    """
    return [{**message, "content": content_of(message["content"])} for message in messages]


def content_of(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block_of(block) for block in content]


def block_of(block: dict[str, Any]) -> dict[str, Any]:
    hints = {"cache_control": block.get("cache_control"), "is_error": False}
    hints |= {"caller": {"type": "direct"}, "citations": None}
    kept = {k: v for k, v in block.items() if k not in hints or v != hints[k]}
    # Results of server tools are opaque, and were not touched by either side.
    if kept["type"] == "tool_result":
        kept["content"] = content_of(kept["content"])
    if kept["type"] == "mcp_tool_result":
        kept["content"] = [block_of(entry) for entry in kept["content"]]
    return kept


def user_items(content: Any) -> list[Item]:
    """What the client said in the second request, as the items it would have sent to us."""
    items: list[Item] = []
    for block in content_of(content):
        if block["type"] == "tool_result":
            said = "".join(part["text"] for part in block["content"])
            item = {"type": "function_call_output", "call_id": block["tool_use_id"], "output": said}
        else:
            part = {"type": "input_text", "text": block["text"]}
            item = {"type": "message", "role": "user", "content": [part]}
        items.append(item)
    return items


def answered(first: Recording, turn: Turn) -> Span:
    """What is stored of the first answer."""
    assembler = ResponseAssembler({"id": "resp_" + "0" * 32})
    assembler.start()
    native = None
    for delta in deltas_of(first.body, streamed=first.streamed, turn=turn):
        assembler.feed(delta)
        native = delta if isinstance(delta, NativeTurn) else native
    assembler.finish()
    return Span(assembler.output, native)


def without_uploads(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Files uploaded into a container are said by no item yet."""
    return [
        {**m, "content": [b for b in content_of(m["content"]) if b["type"] != "container_upload"]}
        for m in messages
    ]


@pytest.mark.parametrize(("first", "then"), loops(), ids=str)
def test_second_request_is_rebuilt_from_the_first_answer(first: Recording, then: Recording) -> None:
    assert then.request is not None
    sent = without_uploads(then.request["messages"])
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    asked = Turn(model=then.request["model"], spans=[Span(user_items(sent[0]["content"]))])
    spans = [*asked.spans, answered(first, asked), Span(user_items(sent[2]["content"]))]

    rebuilt = REBUILDING.encode(Turn(model=asked.model, spans=spans)).body["messages"]

    assert normalised(rebuilt) == normalised(sent)


@needs_recordings
def test_every_loop_is_there() -> None:
    assert len(loops()) == 5
