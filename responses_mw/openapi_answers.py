"""What answers hold, in JSON Schema: responses, items, lists, errors, and the events of streams.

Answers may grow: nothing forbids another key. Items are the requests' items with an id, without the
rules that only requests must keep.
"""

from collections.abc import Mapping
from typing import Any

from responses_mw import items, parts
from responses_mw.checks import Shape
from responses_mw.json_schema import JsonSchema, component, nullable
from responses_mw.openapi_requests import typed

TEXT: JsonSchema = {"type": "string"}
COUNT: JsonSchema = {"type": "integer", "minimum": 0}
FLAG: JsonSchema = {"type": "boolean"}
NUMBER: JsonSchema = {"type": "number"}
OBJECT: JsonSchema = {"type": "object"}


def one_of(*values: str) -> JsonSchema:
    return {"type": "string", "enum": list(values)}


def array(of: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": of}


def record(*optional: str, **properties: JsonSchema) -> JsonSchema:
    """Objects with all these keys, and perhaps `optional` ones among them."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def answer_schemas() -> dict[str, JsonSchema]:
    """Components by name, without its prefix."""
    return {
        "error": _ERROR,
        "usage": _USAGE,
        "shown_part": _shown(parts.SHAPES),
        "item": _item(),
        "response": _response(),
        "deleted_response": _deleted("response"),
        "list": _LIST,
        "tokens": record(object=one_of("response.input_tokens"), input_tokens=COUNT),
        "compaction": record(
            id=TEXT,
            object=one_of("response.compaction"),
            created_at=COUNT,
            output=array(component("item")),
            usage=component("usage"),
        ),
        "conversation": record(
            id=TEXT,
            object=one_of("conversation"),
            created_at=COUNT,
            metadata={"type": "object", "additionalProperties": TEXT},
        ),
        "deleted_conversation": _deleted("conversation.deleted"),
        "model": _MODEL,
        "models": record(object=one_of("list"), data=array(component("model"))),
        "health": record(
            "deployments",
            status=TEXT,
            deployments={"type": "object", "additionalProperties": COUNT},
        ),
        "totals": record(object=one_of("list"), data=array(_TOTAL), has_more=FLAG),
        "key": _KEY,
        "keys": record(object=one_of("list"), data=array(component("key"))),
        "deleted_keys": record(object=one_of("key.deleted"), deleted_keys=array(TEXT)),
        "openapi": record(openapi=TEXT, info=OBJECT, paths=OBJECT, components=OBJECT),
        "event": _event(),
        "event_message": _EVENT_MESSAGE,
    }


def _deleted(object: str) -> JsonSchema:
    return record(id=TEXT, object=one_of(object), deleted={"type": "boolean", "enum": [True]})


_ERROR = record(
    error=record(message=TEXT, type=TEXT, param=nullable(TEXT), code=nullable(TEXT)),
)
_USAGE = record(
    "cost",
    input_tokens=COUNT,
    input_tokens_details=record(cached_tokens=COUNT, cache_write_tokens=COUNT),
    output_tokens=COUNT,
    output_tokens_details=record(reasoning_tokens=COUNT),
    total_tokens=COUNT,
    cost=NUMBER,
)
_LIST = record(
    object=one_of("list"),
    data=array(component("item")),
    first_id=nullable(TEXT),
    last_id=nullable(TEXT),
    has_more=FLAG,
)
_MODEL = record(id=TEXT, object=one_of("model"), created=COUNT, owned_by=TEXT)

_TOTAL = record(
    requests=COUNT,
    input_tokens=COUNT,
    output_tokens=COUNT,
    cached_tokens=COUNT,
    cache_write_tokens=COUNT,
    reasoning_tokens=COUNT,
    cost=nullable(NUMBER),
    unpriced_requests=COUNT,
)
_KEY = record(
    "key",
    object=one_of("key"),
    id=TEXT,
    key=TEXT,
    owner=TEXT,
    name=nullable(TEXT),
    models=nullable(array(TEXT)),
    max_budget=nullable(NUMBER),
    spent=NUMBER,
    budget_duration_s=nullable(COUNT),
    budget_ends=nullable(TEXT),
    rpm=nullable(COUNT),
    tpm=nullable(COUNT),
    created_at=TEXT,
    expires_at=nullable(TEXT),
    revoked_at=nullable(TEXT),
    blocked=FLAG,
)


# --- items


def _item() -> JsonSchema:
    return _shown(items.SHAPES, message={"content": array(component("shown_part"))})


def _shown(shapes: Mapping[str, Shape], **more: Mapping[str, JsonSchema]) -> JsonSchema:
    """Any of the types, and any that this server does not know: an upstream may have new ones."""
    known = [_one(kind, shape, more.get(kind, {})) for kind, shape in shapes.items()]
    unknown = record(type={"type": "string", "not": {"enum": list(shapes)}})
    return {"anyOf": [*known, unknown]}


def _one(kind: str, shape: Shape, more: Mapping[str, JsonSchema]) -> JsonSchema:
    found = typed(kind, Shape(shape.fields))
    if any(field.name == "id" for field in shape.fields):
        found["properties"]["id"] = TEXT
        found["required"] = sorted({*found["required"], "id"})
    found["properties"].update(more)
    found["required"] += more
    return found


# --- the response

_TYPED: Mapping[str, JsonSchema] = {
    "id": TEXT,
    "object": one_of("response"),
    "created_at": COUNT,
    "status": one_of("queued", "in_progress", "completed", "incomplete", "failed", "cancelled"),
    "background": FLAG,
    "completed_at": nullable(COUNT),
    "error": nullable(record(code=TEXT, message=TEXT)),
    "incomplete_details": nullable(record(reason=TEXT)),
    "instructions": nullable(TEXT),
    "max_output_tokens": nullable(COUNT),
    "max_tool_calls": nullable(COUNT),
    "model": TEXT,
    "output": array(component("item")),
    "parallel_tool_calls": FLAG,
    "previous_response_id": nullable(TEXT),
    "prompt_cache_key": nullable(TEXT),
    "reasoning": record("context", "mode", effort=nullable(TEXT), summary=nullable(TEXT),
                        context=TEXT, mode=TEXT),
    "safety_identifier": nullable(TEXT),
    "service_tier": TEXT,
    "store": FLAG,
    "temperature": NUMBER,
    "text": record("verbosity", format=component("text_format"), verbosity=TEXT),
    "tool_choice": component("tool_choice"),
    "tools": array(record(type=TEXT)),
    "top_logprobs": COUNT,
    "top_p": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "truncation": one_of("auto", "disabled"),
    "usage": nullable(component("usage")),
    "user": nullable(TEXT),
    "metadata": {"type": "object", "additionalProperties": TEXT},
}  # fmt: skip
_IF_SENT: Mapping[str, JsonSchema] = {
    "conversation": record(id=TEXT),
    "prompt": record(id=TEXT, version=nullable(TEXT), variables=nullable(OBJECT)),
    "prompt_cache_options": OBJECT,
    "prompt_cache_retention": TEXT,
}


def _response() -> JsonSchema:
    return record(*_IF_SENT, **_TYPED, **_IF_SENT)


# --- events

_PLACE: Mapping[str, JsonSchema] = {"item_id": TEXT, "output_index": COUNT}
_IN_CONTENT: Mapping[str, JsonSchema] = {**_PLACE, "content_index": COUNT}
_IN_SUMMARY: Mapping[str, JsonSchema] = {**_PLACE, "summary_index": COUNT}
_OF_RESPONSE: Mapping[str, JsonSchema] = {"response": component("response")}
_OF_ITEM: Mapping[str, JsonSchema] = {"output_index": COUNT, "item": component("item")}
_LOGPROBS: Mapping[str, JsonSchema] = {"logprobs": array(OBJECT)}
_SHOWN = component("shown_part")

_EVENTS: Mapping[str, Mapping[str, JsonSchema]] = {
    **{
        f"response.{status}": _OF_RESPONSE
        for status in ("created", "queued", "in_progress", "completed", "incomplete", "failed")
    },
    "response.output_item.added": _OF_ITEM,
    "response.output_item.done": _OF_ITEM,
    "response.content_part.added": {**_IN_CONTENT, "part": _SHOWN},
    "response.content_part.done": {**_IN_CONTENT, "part": _SHOWN},
    "response.output_text.delta": {**_IN_CONTENT, "delta": TEXT, **_LOGPROBS},
    "response.output_text.done": {**_IN_CONTENT, "text": TEXT, **_LOGPROBS},
    "response.output_text.annotation.added": {
        **_IN_CONTENT,
        "annotation_index": COUNT,
        "annotation": record(type=TEXT),
    },
    "response.refusal.delta": {**_IN_CONTENT, "delta": TEXT},
    "response.refusal.done": {**_IN_CONTENT, "refusal": TEXT},
    "response.reasoning_summary_part.added": {**_IN_SUMMARY, "part": _SHOWN},
    "response.reasoning_summary_part.done": {**_IN_SUMMARY, "part": _SHOWN},
    "response.reasoning_summary_text.delta": {**_IN_SUMMARY, "delta": TEXT},
    "response.reasoning_summary_text.done": {**_IN_SUMMARY, "text": TEXT},
    "response.reasoning_text.delta": {**_IN_CONTENT, "delta": TEXT},
    "response.reasoning_text.done": {**_IN_CONTENT, "text": TEXT},
    "response.reasoning.delta": {**_IN_CONTENT, "delta": TEXT},
    "response.reasoning.done": {**_IN_CONTENT, "text": TEXT},
    "response.function_call_arguments.delta": {**_PLACE, "delta": TEXT},
    "response.function_call_arguments.done": {**_PLACE, "name": TEXT, "arguments": TEXT},
    "error": {"error": _ERROR["properties"]["error"]},
}


def _event() -> JsonSchema:
    """Those that this server makes, and any other: an upstream's own are passed through."""
    known = [
        record(type=one_of(type), sequence_number=COUNT, **fields)
        for type, fields in _EVENTS.items()
    ]
    unknown = record(type={"type": "string", "not": {"enum": list(_EVENTS)}}, sequence_number=COUNT)
    return {"anyOf": [*known, unknown]}


_EVENT_MESSAGE: dict[str, Any] = {
    "description": "One server-sent event; the last one's data is `[DONE]`.",
    "type": "object",
    "properties": {
        "event": {"type": "string", "description": "The event's `type`."},
        "data": {
            "anyOf": [
                {"type": "string", "enum": ["[DONE]"]},
                {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": component("event"),
                },
            ]
        },
    },
    "required": ["data"],
}
