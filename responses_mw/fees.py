"""What hosted tools charge by use: which uses of an answer are paid for, and what operators call
their prices.

How often a tool was used is counted in the answer's items; what one use costs stands in `cost`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

Uses = Mapping[str, int]
"""How often each tool was used, by the names of FEES."""

_CODE = "code_interpreter"
_SEARCH = "web_search"
_SIZES = ("low", "medium", "high")
_SEARCHES = tuple(f"{_SEARCH} {size}" for size in _SIZES)
SEARCH_SIZES = tuple(f"search_context_size_{size}" for size in _SIZES)

FEES: Mapping[str, tuple[tuple[str, ...], int]] = {
    "search_context_cost_per_query": (_SEARCHES, 1),
    **{price: ((use,), 1) for price, use in zip(SEARCH_SIZES, _SEARCHES, strict=True)},
    "file_search_cost_per_1k_calls": (("file_search",), 1000),
    "code_interpreter_cost_per_session": ((_CODE,), 1),
    "output_cost_per_image": (("image_generation",), 1),
}
"""LiteLLM's names for prices: of which uses, and of how many."""

NO_USES: Uses = {}
_USES: Mapping[str, str] = {
    "web_search_call": _SEARCH,
    "x_search_call": _SEARCH,
    "file_search_call": "file_search",
    "code_interpreter_call": _CODE,
    "image_generation_call": "image_generation",
}


def told(prices: Mapping[str, float]) -> dict[str, Decimal]:
    """Dollars for one use, as an operator's prices say."""
    found: dict[str, Decimal] = {}
    for name, (uses, count) in FEES.items():
        price = prices.get(name)
        if price is not None:
            found |= dict.fromkeys(uses, Decimal(str(price)) / count)
    return found


def listed(searches: Decimal | None, file_searches: Decimal | None) -> dict[str, Decimal]:
    """The kept list knows a price for each kind of search, whatever its size."""
    found = {} if searches is None else dict.fromkeys(_SEARCHES, searches)
    return found if file_searches is None else {**found, "file_search": file_searches}


def uses_of(output: Sequence[Mapping[str, Any]], tools: Iterable[Mapping[str, Any]]) -> Uses:
    """What failed is not charged, nor is a page that was opened; a container is charged once. How
    large a search is was said with the request's tool."""
    called = [item for item in output if item["type"] in _USES and item.get("status") != "failed"]
    if not called:
        return NO_USES
    containers = {item.get("container_id") for item in called if _USES[item["type"]] == _CODE}
    found = Counter(_USES[item["type"]] for item in called if _is_paid(item))
    searches = found.pop(_SEARCH, 0)
    if searches:
        found[f"{_SEARCH} {_size(tools)}"] = searches
    if containers:
        found[_CODE] = len(containers)
    return found


def _is_paid(item: Mapping[str, Any]) -> bool:
    action = item.get("action")
    did = action.get("type", "search") if isinstance(action, Mapping) else "search"
    return item["type"] != "web_search_call" or did == "search"


def _size(tools: Iterable[Mapping[str, Any]]) -> str:
    sizes = (tool.get("search_context_size") for tool in tools)
    return next((size for size in sizes if size in _SIZES), "medium")
