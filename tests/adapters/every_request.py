"""One request for each thing that a client may say: every item, part, tool, choice and parameter.

Each is a body of the API, checked as one; `test_request_types.py` holds that nothing the schema
knows is missing here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from items_sampled import PNG, SAMPLES, text, user

from responses_mw.items import stored_items, type_of
from responses_mw.schema import CreateRequest, Effort, Include, Summary, turn_from
from responses_mw.turn import Item, Span, Turn

Body = dict[str, Any]
HELLO = user(text("Hello."))

# --- parts

PDF, TXT = "data:application/pdf;base64,JVBERi0=", "data:text/plain;base64,aGVsbG8="
IMAGES: list[Body] = [
    {"type": "input_image", "image_url": PNG},
    {"type": "input_image", "image_url": "https://example.com/a.png"},
    {"type": "input_image", "file_id": "file_1"},
    *(
        {"type": "input_image", "image_url": PNG, "detail": detail}
        for detail in ("low", "high", "auto", "original")
    ),
]
FILES: list[Body] = [
    {"type": "input_file", "file_data": PDF, "filename": "a.pdf"},
    {"type": "input_file", "file_data": TXT, "filename": "a.txt", "detail": "low"},
    {"type": "input_file", "file_url": "https://example.com/a.pdf", "detail": "auto"},
    {"type": "input_file", "file_id": "file_1", "detail": "high"},
]
AUDIO: list[Body] = [
    {"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": format}}
    for format in ("mp3", "wav")
]
VIDEO: Body = {"type": "input_video", "video_url": "https://example.com/a.mp4"}
SAID: list[Body] = [
    {"type": "output_text", "text": "So.", "annotations": [], "logprobs": []},
    {"type": "refusal", "refusal": "No."},
    {"type": "input_text", "text": "So."},
]


LOGS = [{"type": "logs", "logs": "2"}]
SERVED = {"server_label": "s", "name": "t", "arguments": "{}"}
FULLER: list[Item] = [
    {"type": "code_interpreter_call", "container_id": "cntr_1", "code": "1 + 1", "outputs": LOGS},
    {
        "type": "computer_call",
        "call_id": "c",
        "action": {"type": "screenshot"},
        "pending_safety_checks": [],
    },
    {
        "type": "mcp_approval_response",
        "approval_request_id": "mcpr_1",
        "approve": True,
        "reason": "It is mine.",
    },
    {"type": "mcp_call", **SERVED, "output": "done"},
    {"type": "tool_search_call", "call_id": "c", "arguments": {}, "execution": "client"},
    {"type": "tool_search_output", "call_id": "c", "tools": [], "execution": "server"},
]
"""With the fields that the samples leave out."""


def conversations() -> Iterator[tuple[str, list[Item]]]:
    for n, item in enumerate([*SAMPLES, *FULLER]):
        if type_of(item) != "compaction":
            yield f"{type_of(item)} {n}", [HELLO, *_around(item), HELLO]
    for n, part in enumerate([text(), *IMAGES, *FILES, *AUDIO]):
        yield f"user's {part['type']} {n}", [user(part)]
    for n, part in enumerate([text(), *IMAGES, *FILES, VIDEO]):
        given = {"call_id": "c", "output": [part]}
        for made in ("function_call", "custom_tool_call"):
            output = {"type": f"{made}_output", **given}
            yield f"{made}'s {part['type']} {n}", [HELLO, *_around(output)]
    for n, part in enumerate(SAID):
        yield f"assistant's {part['type']} {n}", [HELLO, {"role": "assistant", "content": [part]}]
    for role in ("system", "developer"):
        yield f"first {role}", [{"role": role, "content": [text("Stop.")]}, HELLO]
        yield f"later {role}", [HELLO, {"role": role, "content": "Stop."}, HELLO]


def _around(item: Item) -> list[Item]:
    """A call with its output, or an output behind its call."""
    kind = type_of(item)
    if kind.endswith("_call_output"):
        call = CALLS[kind.removesuffix("_output")]
        key = "id" if kind == "local_shell_call_output" else "call_id"
        return [{**call, "call_id": item[key]}, item]
    if kind in ANSWERED:
        key = "id" if kind == "local_shell_call" else "call_id"
        return [item, {**OUTPUTS[f"{kind}_output"], key: item["call_id"]}]
    return [item]


OUTPUTS = {type_of(item): item for item in SAMPLES if type_of(item).endswith("_output")}
ANSWERED = {kind.removesuffix("_output") for kind in OUTPUTS if kind.endswith("_call_output")}
CALLS = {type_of(item): item for item in reversed(SAMPLES) if type_of(item) in ANSWERED}

# --- tools

SCHEMA = {
    "type": "object",
    "properties": {"at": {"type": "string"}},
    "required": ["at"],
    "additionalProperties": False,
}
FUNCTION: Body = {"type": "function", "name": "look", "parameters": SCHEMA}
CUSTOM: Body = {"type": "custom", "name": "say"}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
MCP: Body = {"type": "mcp", "server_label": "s", "server_url": "https://example.com/mcp"}
SCREEN = {"display_height": 1, "display_width": 1, "environment": "linux"}
NAMED = {"name": "n", "description": "d"}
TOOLS: list[Body] = [
    FUNCTION,
    {"type": "function", "name": "go"},
    {**FUNCTION, "description": "Looks.", "strict": True},
    {**FUNCTION, "strict": False},
    CUSTOM,
    {**CUSTOM, "description": "Says.", "format": {"type": "text"}},
    {**CUSTOM, "format": GRAMMAR},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "web_search"},
    {"type": "web_search", "filters": {"allowed_domains": ["example.com"]}},
    {"type": "web_search_2025_08_26"},
    {"type": "web_search_preview", "search_context_size": "low"},
    {"type": "web_search_preview_2025_03_11"},
    {"type": "computer"},
    {"type": "computer_use_preview", **SCREEN},
    {**MCP, "require_approval": "never"},
    {**MCP, "allowed_tools": ["t"], "authorization": "secret", "require_approval": "never"},
    {"type": "mcp", "server_label": "s", "connector_id": "connector_gmail"},
    {"type": "mcp", "server_label": "s", "tunnel_id": "tunnel_1"},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "code_interpreter", "container": "cntr_1"},
    {"type": "image_generation"},
    {"type": "local_shell"},
    {"type": "shell"},
    {"type": "apply_patch"},
    {"type": "namespace", **NAMED, "tools": [FUNCTION, CUSTOM]},
    {"type": "tool_search"},
    {"type": "programmatic_tool_calling"},
]


def choices() -> Iterator[tuple[str, Body]]:
    """Each tool, offered, demanded by its type, and allowed."""
    offered = [FUNCTION, {**FUNCTION, "name": "go"}]
    for mode in ("none", "auto", "required"):
        yield f"choice {mode}", {"tools": offered, "tool_choice": mode}
        allowed = {"type": "allowed_tools", "mode": mode, "tools": [_one(FUNCTION)]}
        yield f"allowed, {mode}", {"tools": offered, "tool_choice": allowed}
    for n, tool in enumerate(TOOLS):
        yield f"tool {tool['type']} {n}", {"tools": [tool]}
        yield f"tool {tool['type']} {n} and a function", {"tools": [tool, offered[1]]}
        yield f"demanded {tool['type']} {n}", {"tools": [tool], "tool_choice": _one(tool)}
    computer = {"tools": [{"type": "computer"}], "tool_choice": {"type": "computer_use"}}
    yield "demanded computer_use", computer
    named = {"type": "mcp", "server_label": "s", "name": "t"}
    yield "demanded tool of a server", {"tools": [MCP], "tool_choice": named}


def _one(tool: Body) -> Body:
    return {key: tool[key] for key in ("type", "name", "server_label") if key in tool}


# --- parameters

JSON_SCHEMA = {"type": "json_schema", "name": "n", "schema": SCHEMA}
PARAMETERS: Mapping[str, list[Any]] = {
    "instructions": ["Be brief."],
    "stream": [True, False],
    "store": [True, False],
    "include": [[name] for name in get_args(Include)],
    "metadata": [{"team": "a-1", "Name": "any text"}],
    "parallel_tool_calls": [True, False],
    "max_tool_calls": [2],
    "text": [
        {"format": {"type": "text"}},
        {"format": {"type": "json_object"}},
        {"format": JSON_SCHEMA},
        {"format": {**JSON_SCHEMA, "strict": True, "description": "A place."}},
        *({"verbosity": level} for level in ("low", "medium", "high")),
    ],
    "reasoning": [
        *({"effort": effort} for effort in get_args(Effort)),
        *({"effort": "high", "summary": summary} for summary in get_args(Summary)),
        *({"generate_summary": summary} for summary in get_args(Summary)),
        *({"context": context} for context in ("auto", "current_turn", "all_turns")),
        *({"mode": mode} for mode in ("standard", "pro")),
    ],
    "temperature": [0, 0.5, 2],
    "top_p": [0.5, 1],
    "presence_penalty": [-2, 0.5],
    "frequency_penalty": [-2, 0.5],
    "max_output_tokens": [16, 3000],
    "top_logprobs": [0, 2, 20],
    "service_tier": ["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"],
    "safety_identifier": ["u1"],
    "user": ["u1"],
    "prompt_cache_key": ["k1"],
    "prompt_cache_options": [
        {"mode": "explicit", "ttl": "12h"},
        {"mode": "implicit", "ttl": "30m", "prewarm": False, "comparison_response_id": "resp_1"},
    ],
    "prompt_cache_retention": ["in_memory", "in-memory", "24h"],
}
"""Values of those that reach an adapter; of those with a closed list, all."""
OURS: Mapping[str, str] = {
    "model": "every request has one; the router puts the deployment's in its place",
    "input": "every request has one",
    "tools": "TOOLS",
    "tool_choice": "choices()",
    "previous_response_id": "becomes the history",
    "conversation": "becomes the history",
    "prompt": "becomes instructions, input and the other parameters",
    "truncation": "shortens the history before an adapter is asked",
    "context_management": "compacts the history before an adapter is asked",
    "stream_options": "is about our own events",
    "background": "is about who waits",
    "background_options": "is about who waits",
    "client_metadata": "is the client's word to a server about itself",
    "moderation": "is refused: not supported yet",
    "access_programs": "is refused: not supported yet",
    "image": "is refused: not supported yet",
}
"""Parameters that no adapter sees, and why."""


def bodies() -> Iterator[tuple[str, Body]]:
    for name, items in conversations():
        yield name, {"input": items}
    for name, asked in choices():
        yield name, {"input": "Hello.", **asked}
    for parameter, values in PARAMETERS.items():
        for value in values:
            yield f"{parameter} {value}", {"input": "Hello.", parameter: value}
            for name, tool in (("a function", FUNCTION), ("a search", {"type": "web_search"})):
                with_tool = {"tools": [tool], parameter: value}
                yield f"{parameter} {value} and {name}", {"input": "Hello.", **with_tool}


BODIES: Mapping[str, Body] = dict(bodies())


def turn_of(body: Body, model: str) -> Turn:
    """As the service makes it. Raises InvalidRequest for what is no request."""
    request = CreateRequest.of({"model": model, **body})
    items = stored_items(request.items, "resp_" + "0" * 32)
    return turn_from(request, [Span(items)], model)
