"""What the API has and this server does not do yet: refused by name, never ignored.

One line per parameter or item type. Whoever builds one deletes its line; nothing else stands here.
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
    "compaction_trigger": "leave it out",
    "configuration_update": "set the parameters of the request",
}
"""And what to send in its place."""
