"""Two recorded steps of one conversation: from the first answer, we rebuild the second request.

That request was written by another client and accepted by AWS. The differences that remain are
listed below, each with the reason why it changes nothing.
"""

import base64
import json
from typing import Any

import orjson
import pytest
from bedrock_cases import model_of, recorded_deltas
from cases import SHARED, Recording, needs_recordings, recorded

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import NativeTurn
from responses_mw.native_refs import pack, unpack
from responses_mw.turn import Item, Span, Turn

CONVERSE = BedrockConverse(cache=None)
INVOKE = BedrockInvoke(messages=AnthropicMessages(name="bedrock", cache=None))
Pair = tuple[Recording, Recording]


def loops(provider: str) -> list[Pair]:
    if SHARED is None:
        return []
    by_id = {recording.id: recording for recording in recorded(provider)}
    pairs = json.loads((SHARED / "recordings" / "loops.json").read_bytes())
    return [(by_id[p["first"]], by_id[p["next"]]) for p in pairs if p["provider"] == provider]


def normalised(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The accepted differences:

    - `status: success` of a tool result says what its absence says, where the client wrote it
      (AWS's own results of hosted tools keep theirs);
    - cache points are hints, and each client places its own.
    """
    return [
        {**m, "content": [block_of(b, m["role"]) for b in m["content"] if "cachePoint" not in b]}
        for m in messages
    ]


def block_of(block: dict[str, Any], role: str) -> dict[str, Any]:
    if role == "user" and "toolResult" in block:
        result = {k: v for k, v in block["toolResult"].items() if (k, v) != ("status", "success")}
        return {"toolResult": result}
    return block


def user_items(content: list[dict[str, Any]]) -> list[Item]:
    """What the client said in the second request, as the items it would have sent to us."""
    found: list[Item] = []
    for block in content:
        match block:
            case {"toolResult": result}:
                output = [part_of(part) for part in result["content"]]
                id = result["toolUseId"]
                found.append({"type": "function_call_output", "call_id": id, "output": output})
            case _:
                found.append({"type": "message", "role": "user", "content": [part_of(block)]})
    return found


def part_of(block: dict[str, Any]) -> dict[str, Any]:
    match block:
        case {"text": text}:
            return {"type": "input_text", "text": text}
        case {"image": {"format": format, "source": {"bytes": data}}}:
            return {"type": "input_image", "image_url": f"data:image/{format};base64,{data}"}
    raise AssertionError(block)


def answered(first: Recording, turn: Turn) -> Span:
    """What is stored of the first answer, as it comes back from the store."""
    assembler = ResponseAssembler({"id": "resp_" + "0" * 32, "status": "in_progress"})
    assembler.start()
    native = None
    for delta in recorded_deltas(first, turn):
        assembler.feed(delta)
        native = delta if isinstance(delta, NativeTurn) else native
    assembler.finish()
    if native is None:
        return Span(assembler.output)
    kept = orjson.loads(orjson.dumps(pack(native.state, assembler.output)))
    state = unpack(kept, assembler.output)
    return Span(assembler.output, NativeTurn(native.scope, state))


def asked_items(messages: list[dict[str, Any]]) -> list[Item]:
    """A history of texts and calls, as items."""
    found: list[Item] = []
    for message in messages:
        for block in message["content"]:
            match message["role"], block:
                case "assistant", {"toolUse": use}:
                    call = {"call_id": use["toolUseId"], "name": use["name"]}
                    arguments = json.dumps(use["input"])
                    found.append({"type": "function_call", **call, "arguments": arguments})
                case "assistant", {"text": text}:
                    part = {"type": "output_text", "text": text}
                    found.append({"type": "message", "role": "assistant", "content": [part]})
                case _:
                    found.extend(user_items([block]))
    return found


@pytest.mark.parametrize(("first", "then"), loops("bedrock"), ids=str)
def test_second_request_is_rebuilt_from_the_first_answer(first: Recording, then: Recording) -> None:
    assert first.request is not None
    assert then.request is not None
    before, sent = first.request["messages"], then.request["messages"]
    assert sent[len(before)]["role"] == "assistant"
    turn = Turn(model=model_of(first), spans=[Span(asked_items(before))], stream=first.streamed)
    new = [block for message in sent[len(before) + 1 :] for block in message["content"]]
    spans = [*turn.spans, answered(first, turn), Span(user_items(new))]

    rebuilt = CONVERSE.encode(Turn(model=turn.model, spans=spans)).body["messages"]

    assert normalised(rebuilt) == normalised(sent)


@pytest.mark.parametrize(("first", "then"), loops("bedrock_invoke_anthropic"), ids=str)
def test_second_invocation_is_rebuilt_from_the_first_answer(
    first: Recording, then: Recording
) -> None:
    assert then.request is not None
    sent = then.request["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    (asked,) = sent[0]["content"]
    part = {"type": "input_text", "text": asked["text"]}
    turn = Turn(
        model=model_of(first),
        spans=[Span([{"type": "message", "role": "user", "content": [part]}])],
        stream=first.streamed,
    )
    outputs = [
        {"type": "function_call_output", "call_id": b["tool_use_id"], "output": b["content"]}
        for b in sent[2]["content"]
    ]
    spans = [*turn.spans, answered(first, turn), Span(outputs)]

    rebuilt = INVOKE.encode(Turn(model=turn.model, spans=spans)).body["messages"]

    assert rebuilt == sent


@needs_recordings
def test_every_loop_is_there() -> None:
    assert len(loops("bedrock")) == 6
    assert len(loops("bedrock_invoke_anthropic")) == 2


@needs_recordings
def test_redacted_reasoning_goes_back_byte_by_byte() -> None:
    first, then = next(p for p in loops("bedrock") if "redacted" in p[0].id)
    assert then.request is not None
    turn = Turn(model=model_of(first), spans=())
    native = answered(first, turn).native
    assert native is not None
    (block,) = [b["reasoningContent"] for b in native.state if "reasoningContent" in b]
    sent = then.request["messages"][1]["content"][0]["reasoningContent"]["redactedContent"]
    assert base64.b64decode(block["redactedContent"]) == base64.b64decode(sent)
