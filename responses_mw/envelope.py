"""What a response shows: every key that is always there, and what it repeats of the request.

The rules are those that satisfy Open Responses and OpenAI's own types at once. Nothing here changes
with time: `output`, `status` and what follows from them are the assembler's.
"""

from collections.abc import Mapping
from typing import Any

from responses_mw.checks import without_nulls
from responses_mw.deltas import UsageReported
from responses_mw.schema import CreateRequest, PromptCacheOptions

_REDACTED = "[redacted]"

_USUAL: Mapping[str, Any] = {
    "object": "response",
    "background": False,
    "completed_at": None,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "truncation": "disabled",
    "usage": None,
    "user": None,
    "metadata": {},
}
"""What most responses show. It is not stored: never change a value here, add a key only if it is
null for every response that was stored before."""


def response_body(
    request: CreateRequest, *, id: str, created_at: int, model: str
) -> dict[str, Any]:
    """The response as created: in progress and empty. `model` is the name the client knows."""
    body = {
        "id": id,
        "object": "response",
        "created_at": created_at,
        "status": "in_progress",
        "background": request.background,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": _reasoning(request),
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": request.store,
        "temperature": _number(request.temperature, default=1),
        "text": _text(request),
        "tool_choice": request.tool_choice,
        "tools": [_tool(tool) for tool in request.tools],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": _number(request.top_p, default=1),
        "presence_penalty": _number(request.presence_penalty, default=0),
        "frequency_penalty": _number(request.frequency_penalty, default=0),
        "truncation": request.truncation,
        "usage": None,
        "user": request.user,
        "metadata": request.metadata,
    }
    if request.conversation_id is not None:
        body["conversation"] = {"id": request.conversation_id}
    if request.prompt is not None:
        body["prompt"] = {"version": None, "variables": None, **request.prompt.model_dump()}
    if request.prompt_cache_retention is not None:
        # Clients of some versions spell it in-memory; the response has one spelling.
        body["prompt_cache_retention"] = request.prompt_cache_retention.replace("-", "_")
    if request.prompt_cache_options is not None:
        body["prompt_cache_options"] = _cache_options(request.prompt_cache_options)
    return body


def shrunk(body: Mapping[str, Any]) -> dict[str, Any]:
    """As it is stored: without what is usual, and without the output, which lies elsewhere; usage
    as its numbers."""
    kept = {
        key: value
        for key, value in body.items()
        if key != "output" and not (key in _USUAL and _USUAL[key] == value)
    }
    if "usage" in kept:
        kept["usage"] = _numbers(kept["usage"])
    return kept


def grown(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The whole again, without its output."""
    body = {**_USUAL, **kept}
    if isinstance(body["usage"], list):
        body["usage"] = usage_body(UsageReported(*body["usage"]))
    return body


def _numbers(usage: Any) -> Any:
    """In the order of UsageReported, which takes a fifth of the names' room; what else it may be
    stays as it is."""
    try:
        into, out = usage["input_tokens_details"], usage["output_tokens_details"]
        numbers = [
            usage["input_tokens"],
            usage["output_tokens"],
            into["cached_tokens"],
            into["cache_write_tokens"],
            out["reasoning_tokens"],
        ]
        if "cost" in usage:
            numbers.append(usage["cost"])
        return numbers if usage_body(UsageReported(*numbers)) == usage else usage
    except (KeyError, TypeError):
        return usage


def usage_body(usage: UsageReported) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.cost is not None:
        shown["cost"] = usage.cost
    return shown


def _number(value: float | None, *, default: float) -> float:
    return float(default if value is None else value)


def _reasoning(request: CreateRequest) -> dict[str, Any]:
    """`effort` and `summary` are always there, the others only if they were sent."""
    given = request.reasoning
    shown: dict[str, Any] = {
        "effort": given.effort,
        "summary": given.summary or given.generate_summary,
    }
    extra = {"context": given.context, "mode": given.mode}
    return shown | without_nulls(extra)


def _cache_options(given: PromptCacheOptions) -> dict[str, Any]:
    compared = {"comparison_response_id": given.comparison_response_id}
    return {"mode": given.mode, "ttl": given.ttl} | without_nulls(compared)


def _text(request: CreateRequest) -> dict[str, Any]:
    # Open Responses lets `verbosity` be absent, not null.
    verbosity = request.text.verbosity
    return {"format": request.text_format} | ({} if verbosity is None else {"verbosity": verbosity})


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as it is shown, and so stored: without the client's credentials for it."""
    shown = {**without_nulls(tool)}
    match tool["type"]:
        case "function":
            return {"description": None, "parameters": None, "strict": None, **shown}
        case "mcp":
            shown.pop("authorization", None)
            if isinstance(shown.get("headers"), dict):
                shown["headers"] = dict.fromkeys(shown["headers"], _REDACTED)
            return shown
        case _:
            return shown
