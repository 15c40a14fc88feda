"""What the official AWS client makes of the same bytes: the judge of our Bedrock decoder.

Nothing of ours is imported here.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser, RestJSONParser

INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


@cache
def service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def official_message(body: bytes, *, streamed: bool) -> dict[str, Any]:
    """`content`, `stopReason` and `usage`, read by the client's own parsers. Blobs are bytes."""
    if streamed:
        return _joined(list(official_events(body, "ConverseStream")))
    response = {"status_code": 200, "headers": {}, "body": body}
    read = RestJSONParser().parse(response, service().operation_model("Converse").output_shape)
    return {**read, "content": read["output"]["message"]["content"]}


def official_events(body: bytes, operation: str) -> Iterator[dict[str, Any]]:
    shape = service().operation_model(operation).get_event_stream_output()
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    for message in buffer:
        yield EventStreamJSONParser().parse(message.to_response_dict(), shape)


def _joined(events: list[dict[str, Any]]) -> dict[str, Any]:
    blocks: dict[int, dict[str, Any]] = {}
    end: dict[str, Any] = {}
    for event in events:
        ((kind, said),) = event.items()
        if kind == "contentBlockStart":
            blocks[said["contentBlockIndex"]] = {k: dict(v) for k, v in said["start"].items()}
        elif kind == "contentBlockDelta":
            _grow(blocks.setdefault(said["contentBlockIndex"], {}), said["delta"])
        elif kind in ("messageStop", "metadata"):
            end |= said
    return {**end, "content": [_whole(block) for _, block in sorted(blocks.items())]}


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta:
        case {"text": text}:
            block["text"] = block.get("text", "") + text
        case {"citation": citation}:
            block.setdefault("citations", []).append(citation)
        case {"toolUse": {"input": text}}:
            block["toolUse"]["input"] = block["toolUse"].get("input", "") + text
        case {"toolResult": content}:
            block["toolResult"].setdefault("content", []).extend(content)
        case {"reasoningContent": {"redactedContent": data}}:
            block["reasoningContent"] = {"redactedContent": data}
        case {"reasoningContent": part}:
            said = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})
            for key, text in part.items():
                said["reasoningText"][key] = said["reasoningText"].get(key, "") + text


def _whole(block: dict[str, Any]) -> dict[str, Any]:
    if "citations" in block:
        content = [{"text": block["text"]}]
        return {"citationsContent": {"content": content, "citations": block["citations"]}}
    if "toolUse" in block:
        block["toolUse"]["input"] = json.loads(block["toolUse"].get("input") or "{}")
    return block


def facts(message: dict[str, Any]) -> dict[str, Any]:
    """The short form that is kept in `expected/`."""
    content, usage = message["content"], message["usage"]
    reason = INCOMPLETE.get(message["stopReason"])
    thoughts = [block["reasoningContent"] for block in content if "reasoningContent" in block]
    calls = [block["toolUse"] for block in content if "toolUse" in block]
    read, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    return {
        "status": "completed" if reason is None else "incomplete",
        "reason": reason,
        "text": short("".join(map(_text, content))),
        "thinking": [short(t.get("reasoningText", {}).get("text", "")) for t in thoughts],
        "signed": sum(
            "redactedContent" in t or "signature" in t["reasoningText"] for t in thoughts
        ),
        "calls": [
            [call["toolUseId"], call["name"], canonical(call["input"])]
            for call in calls
            if call.get("type") != "server_tool_use"
        ],
        "hosted": [call["name"] for call in calls if call.get("type") == "server_tool_use"],
        "cited": sum(len(b["citationsContent"]["citations"]) for b in content if _is_cited(b)),
        "usage": [usage["inputTokens"] + read + written, read, written, usage["outputTokens"]],
    }


def _is_cited(block: dict[str, Any]) -> bool:
    return "citationsContent" in block


def _text(block: dict[str, Any]) -> str:
    if _is_cited(block):
        return "".join(part["text"] for part in block["citationsContent"]["content"])
    return str(block.get("text", ""))


def canonical(arguments: Any) -> str:
    return short(json.dumps(arguments, sort_keys=True))


def short(text: str) -> str:
    """Long texts are not ours to keep: their length and a digest."""
    if len(text) <= 30:
        return text
    return f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
