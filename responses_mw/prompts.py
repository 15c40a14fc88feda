"""Prompt templates that the host application registers: `prompt: {id, version, variables}`.

Where a template comes from and how its variables are put in stands here. A template is JSON with
parameters of the request in it; what it says there counts where the request itself says nothing,
and its input goes before the request's.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from responses_mw.errors import InvalidRequest

Template = Mapping[str, Any]
"""Parameters of a request to create a response: instructions, input, model, tools, ..."""

PromptSource = Callable[
    [str, str | None, Mapping[str, Any]], Template | Awaitable[Template | None] | None
]
"""`source(id, version, variables)` gives a template with its variables put in, None if it is
unknown. It may be async, and may raise InvalidRequest."""

Prompts = PromptSource | Mapping[str, Template]
"""Or templates by id, or by `id@version`; `{{name}}` in their texts stands for a variable."""

_PLACE = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
_NOT_THEIRS = frozenset({"prompt", "previous_response_id", "conversation", "store", "background"})
"""How a request is answered and what it goes on from is for no template to say."""


async def template(prompts: Prompts | None, prompt: Mapping[str, Any]) -> dict[str, Any]:
    """The template that a checked `prompt` names. Raises InvalidRequest if there is none."""
    id, version = prompt["id"], prompt.get("version")
    variables = prompt.get("variables") or {}
    found: Any = None
    if isinstance(prompts, Mapping):
        registered = prompts.get(id if version is None else f"{id}@{version}")
        found = None if registered is None else _filled(registered, variables)
    elif prompts is not None:
        found = prompts(id, version, variables)
        if inspect.isawaitable(found):
            found = await found
    if found is None:
        named = id if version is None else f"{id} (version {version})"
        raise InvalidRequest(
            f"The prompt {named[:100]!r} is not known to this server; its application has to "
            "register it.",
            param="prompt",
            code="prompt_not_found",
        )
    return {key: value for key, value in found.items() if key not in _NOT_THEIRS}


def merged(template: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request, and what its template adds to it."""
    before = _items(template.get("input"))
    body = {**template, **sent, "input": [*before, *_items(sent.get("input"))]}
    if not before and isinstance(sent.get("input"), str):
        body["input"] = sent["input"]
    return body


def _items(input: Any) -> Sequence[Any]:
    if isinstance(input, str):
        return [{"type": "message", "role": "user", "content": input}]
    return input or []


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    match value:
        case str():
            return _PLACE.sub(lambda place: _text(place[1], variables), value)
        case {"type": "input_text", "text": str(text)} if (name := _alone(text)) is not None:
            return _part(name, variables)
        case Mapping():
            return {key: _filled(inner, variables) for key, inner in value.items()}
        case list() | tuple():
            return [_filled(inner, variables) for inner in value]
        case _:
            return value


def _alone(text: str) -> str | None:
    """The variable that is all of a text part: only there can it be a picture or a file."""
    found = _PLACE.fullmatch(text.strip())
    return None if found is None else found[1]


def _part(name: str, variables: Mapping[str, Any]) -> Any:
    value = _value(name, variables)
    return {"type": "input_text", "text": value} if isinstance(value, str) else value


def _text(name: str, variables: Mapping[str, Any]) -> str:
    value = _value(name, variables)
    if isinstance(value, Mapping) and value.get("type") == "input_text":
        value = value.get("text")
    if isinstance(value, str):
        return value
    raise InvalidRequest(
        f"The prompt's variable {name!r} must be text where it stands.",
        param="prompt.variables",
        code="invalid_value",
    )


def _value(name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        raise InvalidRequest(
            f"The prompt needs the variable {name!r}.",
            param="prompt.variables",
            code="missing_required_parameter",
        )
    return variables[name]
