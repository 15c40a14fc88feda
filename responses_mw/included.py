"""`include`: the parts of items that are shown in a list only if they are asked for.

Which part each value names stands here. Nothing is taken out of what is stored or sent to a model.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, get_args

from responses_mw.errors import InvalidRequest
from responses_mw.items import Item
from responses_mw.schema import Include

VALUES: tuple[str, ...] = get_args(Include)

_Change = Callable[[Item], Item]


def check_include(values: Sequence[str]) -> frozenset[str]:
    """Raises InvalidRequest for a value that the API does not have."""
    for value in values:
        if value not in VALUES:
            known = ", ".join(VALUES)
            raise InvalidRequest(
                f"include[] has no value {value[:40]!r}; known are {known}.",
                param="include",
                code="invalid_value",
            )
    return frozenset(values)


def shown(items: Sequence[Item], include: Collection[str]) -> list[Item]:
    """The items without what was not asked for; they are not modified."""
    found = list(items)
    for value, (kind, hide) in _HIDE.items():
        if value not in include:
            found = [hide(item) if item["type"] == kind else item for item in found]
    return found


def _without(field: str) -> _Change:
    return lambda item: {key: value for key, value in item.items() if key != field}


def _null(field: str) -> _Change:
    return lambda item: {**item, field: None} if field in item else item


def _of_parts(type: str, field: str, empty: Any) -> _Change:
    def hide(item: Item) -> Item:
        content = [
            {**part, field: empty} if part["type"] == type and part.get(field) else part
            for part in item["content"]
        ]
        return {**item, "content": content}

    return hide


def _inside(outer: str, field: str) -> _Change:
    def hide(item: Item) -> Item:
        holds = item.get(outer)
        if not isinstance(holds, dict):  # passed through from an upstream, as it said it
            return item
        return {**item, outer: {key: value for key, value in holds.items() if key != field}}

    return hide


_HIDE: dict[str, tuple[str, _Change]] = {
    "file_search_call.results": ("file_search_call", _null("results")),
    "web_search_call.results": ("web_search_call", _without("results")),
    "web_search_call.action.sources": ("web_search_call", _inside("action", "sources")),
    "message.input_image.image_url": ("message", _of_parts("input_image", "image_url", None)),
    "computer_call_output.output.image_url": (
        "computer_call_output",
        _inside("output", "image_url"),
    ),
    "code_interpreter_call.outputs": ("code_interpreter_call", _null("outputs")),
    "reasoning.encrypted_content": ("reasoning", _without("encrypted_content")),
    "message.output_text.logprobs": ("message", _of_parts("output_text", "logprobs", [])),
}
