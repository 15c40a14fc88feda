"""What the API has and this server does not do yet: refused by name, never ignored.

One line per parameter or item type. Whoever builds one deletes its line.
"""

from collections.abc import Mapping
from typing import Any

ANY: Any = object()

PARAMETERS: Mapping[str, Any] = {
    "prompt_cache_options.prewarm": True,
    "moderation": ANY,
    "access_programs": ANY,
    "image": ANY,
}
"""The value that is not taken; null and every other valid value are."""

ITEM_TYPES: Mapping[str, str] = {
    "configuration_update": "set the parameters of the request",
}
"""And what to send in its place."""

_PATHS = [(path, path.split("."), refused) for path, refused in PARAMETERS.items()]


def found_in(body: Mapping[str, Any]) -> str | None:
    """The path of a parameter that is refused."""
    for path, names, refused in _PATHS:
        value: Any = body
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None and (refused is ANY or refused == value):
            return path
    return None
