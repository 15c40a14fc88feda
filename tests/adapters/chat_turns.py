"""Turns as they are written here in short, and the chat completions requests they become."""

from openai.types.chat import completion_create_params
from pydantic import TypeAdapter

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.turn import Span, Turn

OPENAI = ChatCompletions(dialects.OPENAI)
GENERIC = ChatCompletions(dialects.GENERIC)
MISTRAL = ChatCompletions(dialects.MISTRAL)
DEEPSEEK = ChatCompletions(dialects.DEEPSEEK)

WHOLE_BODY = TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming)
STREAM_BODY = TypeAdapter(completion_create_params.CompletionCreateParamsStreaming)

PIXEL = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
TOOL = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    "strict": True,
}
OTHER = {"type": "function", "name": "find", "description": None, "parameters": None}
SCHEMA = {
    "type": "json_schema",
    "name": "city",
    "schema": {"type": "object", "properties": {}, "additionalProperties": False},
    "strict": True,
    "description": None,
}


def message(role, *texts):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [part(text, kind) for text in texts]}


def part(text, kind="input_text"):
    return {"type": kind, "text": text}


def user(*parts):
    return {"type": "message", "role": "user", "content": list(parts)}


def call(id="call_1", name="look", arguments='{"at":"x"}'):
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def output(id="call_1", output="seen"):
    return {"type": "function_call_output", "call_id": id, "output": output}


def thought(*texts):
    return {"type": "reasoning", "summary": [part(text, "summary_text") for text in texts]}


def image(**more):
    return {"type": "input_image", "image_url": PIXEL, "detail": "auto", **more}


def turn(*items, **options):
    return Turn(model="m", spans=[Span(items)], **options)


def body(adapter, *items, **options):
    return adapter.encode(turn(*items, **options)).body


def messages(adapter, *items, **options):
    return body(adapter, *items, **options)["messages"]


def wire_call(id="call_1", name="look", arguments='{"at":"x"}'):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


EVERYTHING = {
    "instructions": "I",
    "tools": [TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "max_output_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "logprobs": True,
    "top_logprobs": 3,
    "text_format": SCHEMA,
    "verbosity": "low",
    "reasoning_effort": "low",
    "service_tier": "flex",
    "user": "u1",
    "prompt_cache_key": "k1",
}
