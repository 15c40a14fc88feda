"""Five wire formats as upstreams that answer a small play, and as judges of what they are asked.

Odd scenes call two tools at once, even ones answer in words; every scene thinks first, and signs
its thoughts where the format knows that. What is said names the format and the scene.
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import orjson
from bedrock_stream import delta, end, start, stop, stream
from chat_turns import STREAM_BODY, WHOLE_BODY
from handover_scenes import PLACES, Format, Json, Scene, sse
from test_anthropic_types import BETA_TYPES, PLAIN_TYPES, typed
from test_anthropic_types import described as anthropic_described
from test_bedrock_types import described as bedrock_described
from test_chat_types import exhaust
from test_gemini_types import OfficialClient, normalised
from test_responses_types import described as responses_described

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import OPENROUTER
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses

# --- chat completions


def _chat_message(scene: Scene) -> Json:
    detail = {"type": "reasoning.text", "text": scene.thought, "signature": scene.signature}
    message: Json = {"role": "assistant", "content": scene.text, "reasoning": scene.thought}
    message["reasoning_details"] = [{**detail, "format": "x", "index": 0}]
    if scene.calls:
        message["tool_calls"] = [
            {
                "index": index,
                "id": scene.id(place),
                "type": "function",
                "function": {"name": "look", "arguments": f'{{"at": "{place}"}}'},
            }
            for index, place in enumerate(PLACES)
        ]
    return message


def _chat_answer(scene: Scene, object: str, **choice: Any) -> Json:
    reason = "tool_calls" if scene.calls else "stop"
    choices = [{"index": 0, "finish_reason": reason, **choice}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "c", "object": object, "model": "m", "choices": choices, "usage": usage}


def chat_whole(scene: Scene) -> Json:
    return _chat_answer(scene, "chat.completion", message=_chat_message(scene))


def chat_streamed(scene: Scene) -> bytes:
    chunk = _chat_answer(scene, "chat.completion.chunk", delta=_chat_message(scene))
    return sse(chunk) + b"data: [DONE]\n\n"


def judge_chat(request: UpstreamRequest) -> None:
    """OpenRouter's one field beside the official ones is its own."""
    body = {key: value for key, value in request.body.items() if key != "reasoning"}
    exhaust((STREAM_BODY if body.get("stream") else WHOLE_BODY).validate_python(body))
    waiting: set[str] = set()
    for message in body["messages"]:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting, "every call is answered before anything else is said"
        waiting = {call["id"] for call in message.get("tool_calls") or ()}
    assert not waiting


# --- Anthropic


def anthropic_whole(scene: Scene) -> Json:
    content: list[Json] = [
        {"type": "thinking", "thinking": scene.thought, "signature": scene.signature},
        {"type": "text", "text": scene.text},
    ]
    if scene.calls:
        content += [
            {"type": "tool_use", "id": scene.id(place), "name": "look", "input": {"at": place}}
            for place in PLACES
        ]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": content,
        "stop_reason": "tool_use" if scene.calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }


def anthropic_streamed(scene: Scene) -> bytes:
    message = anthropic_whole(scene)
    events: list[Json] = [{"type": "message_start", "message": {**message, "content": []}}]
    for index, block in enumerate(message["content"]):
        begun, deltas = _anthropic_block(block)
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [
            {"type": "content_block_delta", "index": index, "delta": piece} for piece in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    stopped = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": 2}
    events += [{"type": "message_delta", "delta": stopped, "usage": usage}]
    return sse(*events, {"type": "message_stop"})


def _anthropic_block(block: Json) -> tuple[Json, list[Json]]:
    match block["type"]:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}, [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case "text":
            said = {"type": "text_delta", "text": block["text"]}
            return {"type": "text", "text": ""}, [said]
        case _:
            arguments = orjson.dumps(block["input"]).decode()
            delta = {"type": "input_json_delta", "partial_json": arguments}
            return {**block, "input": {}}, [delta]


def judge_anthropic(request: UpstreamRequest) -> None:
    body = typed(request.body)
    types = BETA_TYPES if "anthropic-beta" in request.headers else PLAIN_TYPES
    assert anthropic_described(types, body) == body
    check_roles_alternate(body["messages"])


def check_roles_alternate(messages: list[Json]) -> None:
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


# --- Gemini


def _gemini_parts(scene: Scene) -> list[Json]:
    parts: list[Json] = [{"text": scene.thought, "thought": True}, {"text": scene.text}]
    if scene.calls:
        parts += [{"functionCall": {"name": "look", "args": {"at": place}}} for place in PLACES]
    parts[2 if scene.calls else 1]["thoughtSignature"] = scene.signature
    return parts


def gemini_whole(scene: Scene) -> Json:
    content = {"role": "model", "parts": _gemini_parts(scene)}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return {
        "candidates": [{"content": content, "finishReason": "STOP"}],
        "usageMetadata": usage,
    }


def gemini_streamed(scene: Scene) -> bytes:
    parts = [{"content": {"role": "model", "parts": [part]}} for part in _gemini_parts(scene)]
    return sse(*({"candidates": [said]} for said in (*parts, {"finishReason": "STOP"})))


@cache
def google() -> OfficialClient:
    return OfficialClient(vertexai=False)


def judge_gemini(request: UpstreamRequest) -> None:
    client = google()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is experimental")
        sent = client.says(GEMINI_MODEL, request.body)
    assert normalised(sent) == normalised(request.body)
    contents = request.body["contents"]
    for content, following in zip(contents, [*contents[1:], None], strict=True):
        calls = [part for part in content["parts"] if "functionCall" in part]
        if not calls:
            continue
        assert "thoughtSignature" in calls[0], "Gemini 3 refuses calls that nobody signed"
        assert following is not None
        assert [("functionResponse" in part) for part in following["parts"]] == [True] * len(calls)


# --- Bedrock


def _bedrock_content(scene: Scene) -> list[Json]:
    signed = {"text": scene.thought, "signature": scene.signature}
    content: list[Json] = [{"reasoningContent": {"reasoningText": signed}}, {"text": scene.text}]
    if scene.calls:
        content += [
            {"toolUse": {"toolUseId": scene.id(place), "name": "look", "input": {"at": place}}}
            for place in PLACES
        ]
    return content


def bedrock_whole(scene: Scene) -> Json:
    return {
        "output": {"message": {"role": "assistant", "content": _bedrock_content(scene)}},
        "stopReason": "tool_use" if scene.calls else "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
        "metrics": {"latencyMs": 1},
    }


def bedrock_streamed(scene: Scene) -> bytes:
    events: list[tuple[str, Any]] = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(_bedrock_content(scene)):
        match block:
            case {"reasoningContent": {"reasoningText": said}}:
                pieces = ({"text": said["text"]}, {"signature": said["signature"]})
                events += [delta(index, reasoningContent=piece) for piece in pieces]
            case {"text": text}:
                events.append(delta(index, text=text))
            case {"toolUse": call}:
                begun = {"toolUseId": call["toolUseId"], "name": call["name"]}
                arguments = orjson.dumps(call["input"]).decode()
                events += [
                    start(index, toolUse=begun),
                    delta(index, toolUse={"input": arguments}),
                ]
        events.append(stop(index))
    whole = bedrock_whole(scene)
    metadata = {"usage": whole["usage"], "metrics": whole["metrics"]}
    return stream(*events, end(whole["stopReason"]), ("metadata", metadata))


def judge_bedrock(request: UpstreamRequest) -> None:
    operation = "ConverseStream" if "converse-stream" in request.path else "Converse"
    path = request.path.replace(":", "%3A")  # the socket carries the other spelling of the same
    bedrock_described(replace(request, path=path), operation, BEDROCK_MODEL)
    check_roles_alternate(request.body["messages"])


# --- Responses


def _responses_output(scene: Scene) -> list[Json]:
    said = {"type": "output_text", "text": scene.text, "annotations": [], "logprobs": []}
    output: list[Json] = [
        *scene.hosted,
        {
            "type": "reasoning",
            "id": f"rs_{scene.step}",
            "summary": [{"type": "summary_text", "text": scene.thought}],
            "encrypted_content": scene.signature,
        },
        {
            "type": "message",
            "id": f"msg_{scene.step}",
            "role": "assistant",
            "status": "completed",
            "content": [said],
        },
    ]
    if scene.calls:
        output += [
            {
                "type": "function_call",
                "id": f"fc_{scene.step}_{place}",
                "call_id": scene.id(place),
                "name": "look",
                "arguments": f'{{"at": "{place}"}}',
                "status": "completed",
            }
            for place in PLACES
        ]
    return output


def responses_whole(scene: Scene) -> Json:
    usage = {
        "input_tokens": 3,
        "output_tokens": 2,
        "total_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 1},
    }
    return {
        "id": f"resp_{scene.step}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-5",
        "output": _responses_output(scene),
        "usage": usage,
    }


def responses_streamed(scene: Scene) -> bytes:
    whole = responses_whole(scene)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(whole["output"]):
        for kind in ("added", "done"):
            type = f"response.output_item.{kind}"
            shown = item if kind == "done" else {**item, **_EMPTY.get(item["type"], {})}
            events.append({"type": type, "output_index": index, "item": shown})
    events.append({"type": "response.completed", "response": whole})
    return sse(*({**event, "sequence_number": n} for n, event in enumerate(events)))


_EMPTY: Mapping[str, Json] = {
    "reasoning": {"summary": []},
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
}


def judge_responses(request: UpstreamRequest) -> None:
    assert responses_described(request.body) == request.body
    calls = [i["call_id"] for i in request.body["input"] if i["type"] == "function_call"]
    outputs = [i["call_id"] for i in request.body["input"] if i["type"] == "function_call_output"]
    assert sorted(calls) == sorted(outputs)


GEMINI_MODEL = "gemini-3-pro-preview"
BEDROCK_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

FORMATS: Mapping[str, Format] = {
    "chat": Format(
        ChatCompletions(OPENROUTER), "vendor/model", chat_whole, chat_streamed, judge_chat
    ),
    "anthropic": Format(
        AnthropicMessages(),
        "claude-sonnet-4-5",
        anthropic_whole,
        anthropic_streamed,
        judge_anthropic,
    ),
    "gemini": Format(Gemini(), GEMINI_MODEL, gemini_whole, gemini_streamed, judge_gemini),
    "bedrock": Format(
        BedrockConverse(),
        BEDROCK_MODEL,
        bedrock_whole,
        bedrock_streamed,
        judge_bedrock,
        "application/vnd.amazon.eventstream",
    ),
    "responses": Format(
        OpenAIResponses(), "gpt-5", responses_whole, responses_streamed, judge_responses
    ),
}
