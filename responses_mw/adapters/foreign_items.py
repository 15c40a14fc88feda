"""What hosted tools did, as a message: for models whose API has no such items.

Shared by the adapters. A conversation may come from another provider, and its history must not stop
it; what a message cannot say is left out, and the adapter names the item in `dropped` either way.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from responses_mw.adapters.decoding import WRONG_SHAPE
from responses_mw.turn import Item

MAX_OUTPUT = 20_000
"""Characters of one tool's output that are told; more is cut, and the cut is said."""


def as_message(item: Item) -> Item | None:
    """The assistant's for what was called, the user's for what came back. None: no words for it."""
    try:
        return _told(item)
    except WRONG_SHAPE:
        return None  # passed through from an upstream, whose own it is what such an item holds


def _told(item: Item) -> Item | None:
    kind = item["type"]
    if kind == "computer_call_output":
        return _screenshot(item)
    if kind.endswith(("_output", "_response")):
        return _message("user", "input_text", kind, _answered(item))
    return _message("assistant", "output_text", kind, _done(item))


def _done(item: Item) -> Sequence[str | None]:
    action = item.get("action")
    action = action if isinstance(action, Mapping) else {}
    match item["type"]:
        case "web_search_call":
            queries = action.get("queries") or [action.get("query")]
            return [*queries, action.get("url"), action.get("pattern")]
        case "file_search_call":
            return [*item["queries"], *(found.get("text") for found in item.get("results") or ())]
        case "code_interpreter_call":
            return [item.get("code"), *_logs(item.get("outputs"))]
        case "mcp_call":
            said = [item["name"], item["arguments"], item.get("output")]
            return [*said, _json(item["error"]) if item.get("error") else None]
        case "shell_call" | "local_shell_call":
            commands = action.get("commands") or [action.get("command")]
            return [_command(command) for command in commands]
        case "apply_patch_call":
            return [_json(item["operation"])]
        case "computer_call":
            return [_json(action)] if action else []
        case "program":
            return [item.get("code")]
        case _:
            return []


def _answered(item: Item) -> Sequence[str | None]:
    match item["type"]:
        case "shell_call_output":
            return [text for run in item["output"] for text in (run["stdout"], run["stderr"])]
        case "local_shell_call_output" | "apply_patch_call_output":
            return [item.get("output")]
        case "program_output":
            return [item.get("result")]
        case "mcp_approval_response":
            return ["approved" if item["approve"] else "refused", item.get("reason")]
        case _:
            return []


def _message(role: str, part: str, kind: str, said: Sequence[str | None]) -> Item | None:
    text = "\n".join(_cut(each) for each in said if each)
    if not text:
        return None
    marked = f"<{kind}>\n{text}\n</{kind}>"
    return {"type": "message", "role": role, "content": [{"type": part, "text": marked}]}


def _screenshot(item: Item) -> Item | None:
    output = item["output"]
    shown = {key: output[key] for key in ("image_url", "file_id") if output.get(key)}
    if not shown:
        return None
    label = {"type": "input_text", "text": "The screen after the computer call:"}
    return {
        "type": "message",
        "role": "user",
        "content": [label, {"type": "input_image", "detail": "auto", **shown}],
    }


def _logs(outputs: Any) -> list[str | None]:
    return [entry.get("logs") for entry in outputs or () if entry.get("type") == "logs"]


def _command(command: Any) -> str | None:
    return " ".join(command) if isinstance(command, list) else command


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    if len(text) <= MAX_OUTPUT:
        return text
    return f"{text[:MAX_OUTPUT]}\n[{len(text) - MAX_OUTPUT} characters more]"
