"""The table of docs/providers.md, made from the adapters by `python tests/provider_table.py`.

Each adapter is asked to say one thing at a time; what becomes of it is seen in the request. What
was recorded at the real services is in `seen.json`, made anew where the recordings are at hand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cases import SHARED, recorded
from seen import NOTHING, keep, looked_at, seen

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter, KnowsTools
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import AZURE, GENERIC
from responses_mw.adapters.client_tools import as_functions, client_tools
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.gemini_encode import VERTEX_AI
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.vertex import VertexClaude
from responses_mw.errors import UnsupportedByProvider
from responses_mw.items import stored_items
from responses_mw.responses_upstreams import BY_DEFAULT, DIALECT_OF
from responses_mw.turn import Item, Span, Turn
from responses_mw.upstreams import OPENAI_CHAT, UPSTREAMS

PAGE = Path(__file__).parent.parent / "docs" / "providers.md"

PNG = "data:image/png;base64,iVBORw0KGgo="
ASK: Item = {"role": "user", "content": "Hello."}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
FUNCTION = {"type": "function", "name": "look", "parameters": SCHEMA}
OTHER = {**FUNCTION, "name": "go"}
NAMESPACE = {"type": "namespace", "name": "n", "description": "d", "tools": [FUNCTION]}
ONLY = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "go"}]}
CALL: Item = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
IMAGE = {"type": "input_image", "image_url": PNG}
ANSWER: Item = {"type": "function_call_output", "call_id": "call_1", "output": [IMAGE]}
MCP = {
    "type": "mcp",
    "server_label": "s",
    "server_url": "https://x.org",
    "require_approval": "never",
}
CLAUDE, GEMINI = "claude-sonnet-4-5", "gemini-3-pro-preview"


def said(*parts: dict[str, Any]) -> list[Item]:
    return [{"role": "user", "content": list(parts)}]


def tools(*offered: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"tools": offered, **options}


PROBES: Mapping[str, dict[str, Any]] = {
    "instructions": {"instructions": "Be brief."},
    "later system messages": {"items": [ASK, {"role": "system", "content": "Stop."}, ASK]},
    "images": {"items": said(IMAGE)},
    "image URLs": {"items": said({"type": "input_image", "image_url": "https://x.org/a.png"})},
    "files": {"items": said({"type": "input_file", "filename": "a.pdf", "file_data": "JVBERi0="})},
    "file URLs": {"items": said({"type": "input_file", "file_url": "https://x.org/a.pdf"})},
    "file ids": {"items": said({"type": "input_file", "file_id": "file_1"})},
    "images from tools": {"items": [ASK, CALL, ANSWER], "tools": [FUNCTION]},
    "functions": tools(FUNCTION),
    "strict functions": tools({**FUNCTION, "strict": True}),
    "`required`": tools(FUNCTION, tool_choice="required"),
    "a named function": tools(FUNCTION, tool_choice={"type": "function", "name": "look"}),
    "allowed tools": tools(FUNCTION, OTHER, tool_choice=ONLY),
    "one call at a time": tools(FUNCTION, parallel_tool_calls=False),
    "custom tools": tools({"type": "custom", "name": "say"}),
    "namespaces": tools(NAMESPACE),
    "web search": tools({"type": "web_search"}),
    "code interpreter": tools({"type": "code_interpreter", "container": {"type": "auto"}}),
    "file search": tools({"type": "file_search", "vector_store_ids": ["vs_1"]}),
    "hosted MCP": tools(MCP),
    "image generation": tools({"type": "image_generation"}),
    "JSON mode": {"text_format": {"type": "json_object"}},
    "JSON Schema": {"text_format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    "`max_output_tokens`": {"max_output_tokens": 3000},
    "temperature": {"temperature": 0.5},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.5},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "verbosity": {"verbosity": "low"},
    "effort": {"reasoning_effort": "high"},
    "summaries": {"reasoning_effort": "high", "reasoning_summary": "auto"},
    "service tier": {"service_tier": "flex"},
    "user": {"user": "u1"},
    "cache key": {"prompt_cache_key": "k1"},
}  # fmt: skip
FATES = ("passed through", "emulated", "left out", "refused")
"""Beside `mapped`, which is all else."""
HOSTED = ("web search", "code interpreter", "file search", "hosted MCP", "image generation")

PROBED: Mapping[str, tuple[str, ...]] = {
    "demanded tools": ("`required`",),
    "parallel calls": ("one call at a time",),
    "JSON Schema": ("JSON Schema",),
    "images": ("images",),
    "files": ("files",),
    "hosted tools": ("web search",),
}
"""By what of PARTS they show: a part that is not said there is no gap."""


FOLDERS = {
    "hosted_vllm": "vllm_chat",
    "together_ai": "together",
    "openai": "openai_chat",
    "hosted_vllm:responses": "vllm_responses",
    "lm_studio:responses": "lmstudio_responses",
    **{f"{name}:responses": f"{name}_responses" for name in ("deepseek", "openrouter", "xai")},
}
"""Where they are not called like the provider."""
KEYS = {
    **{name: upstream.key_variable for name, upstream in UPSTREAMS.items()},
    "openai": "OPENAI_API_KEY",
    "azure": "AZURE_API_KEY",
    "azure_ai": "AZURE_AI_API_KEY",
}


@dataclass(frozen=True)
class Row:
    """`recorded` is a key of `seen()`; it need not be there."""

    provider: str
    adapter: Adapter
    recorded: str
    model: str = "model"
    note: str = ""


def rows() -> Iterator[Row]:
    for name, dialect in DIALECT_OF.items():
        note = "" if name in BY_DEFAULT else " with `use_responses_api`"
        folder = FOLDERS.get(f"{name}:responses", name)
        adapter = OpenAIResponses(dialect=dialect)
        yield Row(name, adapter, f"{folder}:responses", "gpt-5", note)
    by_chat = " with `use_chat_completions_api`"
    yield Row("openai", OPENAI_CHAT.adapter(), "openai_chat:chat", note=by_chat)
    yield Row("azure", ChatCompletions(AZURE), "azure:chat", note=by_chat)
    mantle = replace(GENERIC, name="bedrock_mantle")
    yield Row("bedrock_mantle", ChatCompletions(mantle), "bedrock_mantle:chat", note=by_chat)
    yield Row("azure_ai", ChatCompletions(AZURE), "azure_ai:chat")
    yield Row("azure_ai", AnthropicMessages(), "azure_ai:claude", CLAUDE, ": Claude")
    at_bedrock = f"us.anthropic.{CLAUDE}-20250929-v1:0"
    yield Row("bedrock", BedrockConverse(), "bedrock:claude", at_bedrock, ": Claude")
    nova = "us.amazon.nova-2-lite-v1:0"
    yield Row("bedrock", BedrockConverse(), "bedrock:others", nova, ": Nova, for one")
    yield Row("bedrock/invoke", BedrockInvoke(), "bedrock_invoke_anthropic", at_bedrock)
    yield Row("vertex_ai", Gemini(surface=VERTEX_AI), "vertex_ai", GEMINI)
    searching = AnthropicMessages(server_tools=frozenset({"web_search"}))
    on_vertex = VertexClaude(messages=searching)
    yield Row("vertex_ai", on_vertex, "vertex_ai:claude", CLAUDE, ": Claude")
    for name, upstream in UPSTREAMS.items():
        adapter = upstream.adapter()
        chat = ":chat" if isinstance(adapter, ChatCompletions) else ""
        note = " (needs `api_base`)" if upstream.base_url is None else ""
        model = {"anthropic": CLAUDE, "gemini": GEMINI}.get(name, "model")
        yield Row(name, adapter, FOLDERS.get(name, name) + chat, model, note)


# --- asking


def _turn(row: Row, items: list[Item] | None = None, **options: Any) -> Turn:
    spans = [Span(stored_items(items or [ASK], "resp_" + "0" * 32))]
    return Turn(model=row.model, spans=spans, **options)


def fate(row: Row, name: str) -> str:
    """mapped, emulated, passed through, left out or refused."""
    probe = PROBES[name]
    turn = _turn(row, **probe)
    knows = row.adapter.knows if isinstance(row.adapter, KnowsTools) else lambda _: False
    if as_others := client_tools(turn, knows):
        row.adapter.encode(as_functions(turn, as_others))  # raises nothing
        return "emulated"
    try:
        request = row.adapter.encode(turn)
    except UnsupportedByProvider:
        return "refused"
    plain = row.adapter.encode(_turn(row)).body
    if request.dropped:
        return "emulated" if _words(request.body) - _words(plain) - _words(probe) else "left out"
    if name in HOSTED and isinstance(row.adapter, OpenAIResponses):
        return "passed through"
    if name in HOSTED:
        return "mapped"
    return "emulated" if _is_emulated(request.body, plain, probe) else "mapped"


def _is_emulated(body: dict[str, Any], plain: dict[str, Any], probe: dict[str, Any]) -> bool:
    """Done by us, told in words, or said by a tool that nobody offered."""
    if body == plain or _words(body) - _words(plain) - _words(probe):
        return True
    return _names(body.get("tools", ())) > _names(probe.get("tools", ()))


def _words(value: Any) -> set[str]:
    """Texts of the prompt, wherever they stand."""
    if isinstance(value, Mapping):
        here = {entry for key, entry in value.items() if key in _TEXTS and isinstance(entry, str)}
        return here.union(*(_words(entry) for entry in value.values()))
    if isinstance(value, list | tuple):
        return set().union(*(_words(entry) for entry in value))
    return set()


_TEXTS = ("text", "content", "instructions")


def _names(offered: Any) -> set[str]:
    return {tool["name"] for tool in offered if isinstance(tool, Mapping) and "name" in tool}


# --- writing


def table() -> str:
    head = (
        "| Provider | Adapter and dialect | Key, where the file names none "
        "| Passed through | Emulated | Left out | Refused |"
    )
    return "\n".join([head, "|---|---|---|---|---|---|---|", *map(_line, rows())])


def _line(row: Row) -> str:
    fates: dict[str, list[str]] = {}
    for name in PROBES:
        fates.setdefault(fate(row, name), []).append(name)
    dialect = getattr(row.adapter, "dialect", None)
    kind = f"`{type(row.adapter).__name__}`" + ("" if dialect is None else f", `{dialect.name}`")
    key = KEYS.get(row.provider)
    cells = [
        f"`{row.provider}`{row.note}",
        kind,
        "" if key is None else f"`{key}`",
        *(_listed(fates.get(kind, [])) for kind in FATES),
    ]
    return "| " + " | ".join(cells) + " |"


def _listed(names: list[str]) -> str:
    if set(HOSTED) <= set(names):
        names = [*(name for name in names if name not in HOSTED), "hosted tools"]
    return ", ".join(names)


def seen_table() -> str:
    """What a provider has no word for cannot have been seen there."""
    head = "| Provider | Recorded | Fixtures | Never recorded |\n|---|---|---|---|"
    return "\n".join([head, *map(_seen_line, rows())])


def _seen_line(row: Row) -> str:
    about = seen().get(row.recorded, NOTHING)
    never = [part for part in about.never if _can(row, part)]
    unseen = ", ".join(never) if about.recorded else "everything"
    name = f"`{row.provider}`{row.note.removesuffix(' (needs `api_base`)')}"
    return f"| {name} | {about.recorded or 'none'} | {about.fixtures or 'none'} | {unseen} |"


def _can(row: Row, part: str) -> bool:
    return all(fate(row, probe) in ("mapped", "passed through") for probe in PROBED.get(part, ()))


def on_page(text: str) -> str:
    for name, made in (("providers", table()), ("seen", seen_table())):
        begin, end = f"<!-- {name}: made by tests/provider_table.py -->", f"<!-- {name} end -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{made}\n{end}{after}"
    return text


if __name__ == "__main__":
    if SHARED is not None:
        keep(looked_at(recorded()))
    PAGE.write_text(on_page(PAGE.read_text()))
