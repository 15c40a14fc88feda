"""What single events and items of the Responses API say: plain functions from its JSON.

Nothing here knows what came before.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from responses_mw.adapters.upstream_errors import CONTEXT_LENGTH_CODES, streamed_error
from responses_mw.adapters.upstream_json import a_text, total, whole_characters
from responses_mw.deltas import (
    Delta,
    ReasoningDelta,
    RefusalDelta,
    StopReason,
    TextDelta,
    UsageReported,
)
from responses_mw.errors import UpstreamError, UpstreamProtocolError

STOP_REASONS: dict[str, StopReason] = {
    "max_output_tokens": "max_output_tokens",
    "content_filter": "content_filter",
    "max_messages": "max_messages",
    "steered": "steered",
}
Json = Mapping[str, Any]
Key = str | int

FREE = (b"sequence_number", b"obfuscation")
"""What is new in every event and says nothing."""
_PLAIN = {
    "type",
    "sequence_number",
    "item_id",
    "output_index",
    "content_index",
    "delta",
    "logprobs",
    "obfuscation",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,99}")
_OF_THE_REQUEST = {"invalid_prompt", "image_content_policy_violation", *CONTEXT_LENGTH_CODES}


def key_of(event: Json) -> Key:
    """llama.cpp gives no indexes, xAI the same id to two items of one answer."""
    index = event.get("output_index")
    if index is not None:
        return index  # type: ignore[no-any-return]  # JSON
    id = event["item_id"] if "item_id" in event else event["item"]["id"]
    return str(id)


def has_key(event: Json) -> bool:
    return event.get("output_index") is not None or "item_id" in event or "item" in event


def is_name(kind: str) -> bool:
    """Whether an event may be told by this name. A line's end in it would begin another event."""
    return _NAME.fullmatch(kind) is not None


def stands_alone(kind: str) -> bool:
    """Whether an event that names no item may be told: not pings and the like, nor those that
    are about an item."""
    if not is_name(kind) or not (kind.startswith("response.") or ":" in kind):
        return False
    return kind.count(".") < 2 or kind.rpartition(".")[2] not in ("added", "delta", "done")


def parts_of(item: Json) -> list[Json]:
    return [*(item.get("summary") or ()), *(item.get("content") or ())]


def words_of(part: Json, said: int) -> list[Delta]:
    """What a part says beyond its first characters."""
    match part["type"]:
        case "output_text":
            rest = a_text(part["text"])[said:]
            logprobs = () if said else logprobs_of(part)
            return [TextDelta(rest, logprobs)] if rest else []
        case "refusal":
            rest = a_text(part["refusal"])[said:]
            return [RefusalDelta(rest)] if rest else []
        case "summary_text" | "reasoning_text" as kind:
            rest = a_text(part["text"])[said:]
            return [ReasoningDelta(rest, raw=kind == "reasoning_text")] if rest else []
        case other:
            raise UpstreamProtocolError(f"the upstream sent a part of type {other!r}")


def plain_text(event: Any) -> str | None:
    """Of an event that says this text and nothing else."""
    if not _PLAIN.issuperset(event) or event["type"] != "response.output_text.delta":
        return None
    text = event.get("delta")
    return text if isinstance(text, str) and not event.get("logprobs") else None


def logprobs_of(said: Json) -> Sequence[Json]:
    given = said.get("logprobs")
    if not given:
        return ()
    if not all(isinstance(token, dict) for token in given):
        raise TypeError("a log probability is no object")
    return tuple(whole_characters(given))


def annotation_of(given: Json) -> dict[str, Any]:
    """xAI cites addresses without saying where; a missing place is the text's beginning."""
    if given.get("type") != "url_citation":
        return dict(given)
    kept = {key: value for key, value in given.items() if value is not None}
    return {"start_index": 0, "end_index": 0, "title": "", **kept}


def unique_call_id(response_id: str, call_id: str) -> str:
    return "call_" + hashlib.sha256(f"{response_id} {call_id}".encode()).hexdigest()[:32]


def usage_report(usage: Json | None) -> UsageReported | None:
    if not usage:
        return None
    read = usage.get("input_tokens_details") or {}
    written = usage.get("output_tokens_details") or {}
    input_tokens, output_tokens = (
        total(usage.get("input_tokens")),
        total(usage.get("output_tokens")),
    )
    return UsageReported(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=min(total(read.get("cached_tokens")), input_tokens),
        cache_write_tokens=total(read.get("cache_write_tokens")),
        reasoning_tokens=min(total(written.get("reasoning_tokens")), output_tokens),
    )


def stop_reason(response: Json, status: str) -> StopReason:
    if status != "incomplete":
        return "stop"
    reason = (response.get("incomplete_details") or {}).get("reason")
    return STOP_REASONS.get(str(reason), "max_output_tokens")


def failure_of(event: Json, provider: str) -> UpstreamError:
    """An error event, or the body of one. That of a failed response names a code and no type."""
    error = event.get("error")
    if isinstance(error, Mapping) and "type" not in error:
        code = error.get("code")
        kind = "invalid_request_error" if code in _OF_THE_REQUEST else "server_error"
        kind = "rate_limit_exceeded" if code == "rate_limit_exceeded" else kind
        event = {"error": {**error, "type": kind}}
    return streamed_error(event, provider=provider)
