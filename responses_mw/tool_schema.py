"""`tools` and `tool_choice`: what a request may offer, and what it may ask for of it.

That a name is known here does not say that anyone executes it: that is for the adapters to say.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from responses_mw.checks import (
    MISSING,
    Field,
    Shape,
    Wrong,
    check_each,
    check_typed,
    length,
    missing,
    not_among,
    one_of,
    show,
    wrong_type,
)
from responses_mw.json_schema import given, refer, said_as

Tool = Mapping[str, Any]

_FUNCTION_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
MODES = ("none", "auto", "required")


@said_as({"pattern": _FUNCTION_NAME.pattern})
def function_name(value: Any, at: str) -> None:
    if _FUNCTION_NAME.fullmatch(value) is None:
        raise Wrong(
            at, f"must be 1 to 64 letters, digits, underscores or hyphens, not {show(value)}"
        )


_NESTED = ("function", "custom")
_MCP_SERVER = ("server_url", "connector_id", "tunnel_id")


@said_as(
    {"minLength": 1, "maxLength": 1024, "items": {"anyOf": [refer("tool", of) for of in _NESTED]}}
)
def _nested(value: Any, at: str) -> None:
    length(1, 1024)(value, at)
    check_each(value, at, lambda tool: check_typed(tool, SHAPES, of=_NESTED))


@said_as({"type": ["string", "object"]})
def _container(value: Any, at: str) -> None:
    if type(value) not in (str, dict):
        raise wrong_type(at, value, "a string or an object")


@said_as({"anyOf": [given(name, type="string", minLength=1) for name in _MCP_SERVER]})
def _mcp_server(tool: Tool) -> None:
    if not any(tool.get(name) for name in _MCP_SERVER):
        raise Wrong("server_url", "is required (or connector_id or tunnel_id)", MISSING)


_NAME = Field("name", str, required=True, check=function_name)
_DESCRIPTION = Field("description", str)
_PLAIN = Shape()

SHAPES: Mapping[str, Shape] = {
    "function": Shape([_NAME, _DESCRIPTION, Field("parameters", dict), Field("strict", bool)]),
    "custom": Shape([_NAME, _DESCRIPTION, Field("format", dict)]),
    "file_search": Shape([Field("vector_store_ids", list, required=True)]),
    "web_search": _PLAIN,
    "web_search_2025_08_26": _PLAIN,
    "web_search_preview": _PLAIN,
    "web_search_preview_2025_03_11": _PLAIN,
    "computer": _PLAIN,
    "computer_use_preview": Shape(
        [
            Field("display_height", int, required=True),
            Field("display_width", int, required=True),
            Field("environment", str, required=True),
        ]
    ),
    "mcp": Shape(
        [Field("server_label", str, required=True), *(Field(name, str) for name in _MCP_SERVER)],
        _mcp_server,
    ),
    # A container is named by a string or described by an object.
    "code_interpreter": Shape([Field("container", object, required=True, check=_container)]),
    "image_generation": _PLAIN,
    "local_shell": _PLAIN,
    "shell": _PLAIN,
    "apply_patch": _PLAIN,
    "namespace": Shape(
        [
            Field("name", str, required=True, check=length(1, 64)),
            Field("description", str, required=True),
            Field("tools", list, required=True, check=_nested),
        ]
    ),
    "tool_search": _PLAIN,
    "programmatic_tool_calling": _PLAIN,
}

ONE_TOOL: Mapping[str, Shape] = {
    "function": Shape([Field("name", str, required=True)]),
    "custom": Shape([Field("name", str, required=True)]),
    "mcp": Shape([Field("server_label", str, required=True), Field("name", str)]),
    "computer_use": _PLAIN,
    **{kind: _PLAIN for kind, shape in SHAPES.items() if kind not in ("function", "custom", "mcp")},
}


def check_tools(tools: Any) -> None:
    if type(tools) is not list:
        raise wrong_type("", tools, "an array")
    check_each(tools, "", lambda tool: check_typed(tool, SHAPES))


def check_choice(choice: Any, tools: Sequence[Tool]) -> None:
    """Of checked tools. Whatever is forced or allowed must be among them."""
    if type(choice) is str:
        one_of(*MODES)(choice, "")
        if choice == "required" and not tools:
            raise Wrong("", "is 'required', but 'tools' is empty; send the tools, or 'auto'")
    elif type(choice) is not dict:
        raise wrong_type("", choice, "a string or an object")
    elif choice.get("type") == "allowed_tools":
        _check_allowed(choice, tools)
    else:
        _check_named(choice, _offered(tools), what="names")


def _check_allowed(choice: Mapping[str, Any], tools: Sequence[Tool]) -> None:
    mode, allowed = choice.get("mode"), choice.get("tools")
    if mode is not None and mode not in MODES:
        raise not_among("mode", mode, MODES)
    if allowed is None:
        raise missing("tools")
    if type(allowed) is not list:
        raise wrong_type("tools", allowed, "an array")
    length(1, 128)(allowed, "tools")
    offered = _offered(tools)
    check_each(allowed, "tools", lambda tool: _check_named(tool, offered, what="allows"))


def _check_named(choice: Any, offered: Collection[tuple[str, str]], *, what: str) -> None:
    check_typed(choice, ONE_TOOL)
    if _meaning(choice) not in offered:
        name = choice.get("name") or choice.get("server_label")
        named = "" if name is None else f" {show(name)}"
        raise Wrong("", f"{what} the {choice['type']} tool{named}, which is not among 'tools'")


def _offered(tools: Sequence[Tool]) -> set[tuple[str, str]]:
    """What a choice may mean."""
    found = {_meaning(tool) for tool in _all(tools)}
    if any(kind.startswith("computer") for kind, _ in found):
        found.add(_meaning({"type": "computer_use"}))
    return found


def _meaning(tool: Tool) -> tuple[str, str]:
    """Equal for a tool and a choice of it. Most types have no names, but may be given one."""
    name = tool.get("server_label" if tool["type"] == "mcp" else "name")
    return tool["type"], repr(name)


def _all(tools: Sequence[Tool]) -> Iterator[Tool]:
    """The tools, and those in their namespaces."""
    for tool in tools:
        yield tool
        if tool["type"] == "namespace":
            yield from tool["tools"]


def with_mode(choice: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    """A checked choice in the form it is worked with and shown: `allowed_tools` has its mode."""
    if isinstance(choice, str) or choice["type"] != "allowed_tools":
        return choice
    return {**choice, "mode": choice.get("mode") or "auto"}
