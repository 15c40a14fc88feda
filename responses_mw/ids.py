"""Identifiers: a response's random part runs through everything that belongs to it.

`resp_<32 digits>`; its items `<prefix>_<32 digits>_<n>`, its inputs `<prefix>_<32 digits>_i<n>`. So
an item leads to its response by its name alone. Digits are 0 to 9 and a to v; older ids have
hexadecimal ones.
"""

import re
import secrets
import time
from functools import lru_cache
from typing import Any

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "mcp_approval_request": "mcpr",
    "compaction": "cmp",
}
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_DIGIT_OF_BYTE = _DIGITS.encode() * 8
_ITEM = re.compile(r"[a-z]+_([0-9a-v]{32})_i?\d+\Z")


def new_id(prefix: str) -> str:
    """130 random bits: two never meet, and none can be guessed. They stand behind the time, so that
    what is stored together lies together in the indexes of a database."""
    random = secrets.token_bytes(26).translate(_DIGIT_OF_BYTE).decode()
    return f"{prefix}_{_moment(int(time.time()) >> 2)}{random}"


@lru_cache(maxsize=1)
def _moment(number: int) -> str:
    """Six digits that sort as the numbers do, for 30 bits."""
    return "".join(_DIGITS[number >> shift & 31] for shift in (25, 20, 15, 10, 5, 0))


def random_part(id: str) -> str:
    return id.partition("_")[2]


def item_prefix(item_type: str) -> str:
    return _PREFIXES.get(item_type, "item")


def output_item_id(response_id: str, item_type: str, index: int) -> str:
    return f"{item_prefix(item_type)}_{random_part(response_id)}_{index}"


def input_item_id(response_id: str, item_type: str, index: int) -> str:
    return f"{item_prefix(item_type)}_{random_part(response_id)}_i{index}"


def response_of_item(item_id: Any) -> str | None:
    """The response that an item id of ours belongs to; None for anyone else's ids."""
    match = _ITEM.match(item_id) if isinstance(item_id, str) else None
    return None if match is None else f"resp_{match[1]}"
