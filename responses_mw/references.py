"""item_reference: an item that a response of this owner has, in the place of its id.

An id of ours names its response, so that many references to one response read it once. What is
stored is the copy, under the id of what it is a copy of: a reference never leads to another.
The copy has no native form; signatures that only that form holds are not replayed with it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from responses_mw.checks import shortened
from responses_mw.errors import Conflict, InvalidRequest
from responses_mw.ids import response_of_item
from responses_mw.items import Item, type_of
from stores.base import RUNNING, SessionStore


def has_references(items: Sequence[Item]) -> bool:
    return any(type_of(item) == "item_reference" for item in items)


async def resolve(
    items: Sequence[Item],
    store: SessionStore,
    *,
    owner: str,
    said: Collection[str] = (),
    at: str = "input",
) -> list[Item]:
    """`said` are the ids of items that the conversation has before these: they are not said again.
    `at` is the parameter with the items.

    Raises InvalidRequest for what cannot be found, StoreError.
    """
    found: dict[str, Mapping[str, Item]] = {}
    resolved: list[Item] = []
    for n, item in enumerate(items):
        if type_of(item) != "item_reference":
            resolved.append(item)
        elif item["id"] not in said:
            one = await _referenced(item["id"], found, store, owner)
            resolved.append(_present(one, item["id"], at, n))
    _check_calls(resolved, at)
    return resolved


def _present(item: Item | None, id: str, at: str, n: int) -> Item:
    if item is None:
        raise InvalidRequest(
            f"Item with id '{shortened(id, 100)}' not found: '{at}[{n}]' can refer to an item of a "
            "stored response only. Send the item itself.",
            param=at,
        )
    return item


async def _referenced(
    id: str, found: dict[str, Mapping[str, Item]], store: SessionStore, owner: str
) -> Item | None:
    response = response_of_item(id)
    if response is None:
        return None
    # The part before its number: outputs and inputs are read by themselves.
    part = response + ("_i" if id.rpartition("_")[2].startswith("i") else "")
    if part not in found:
        found[part] = await _items_of(response, store, owner, inputs=part != response)
    return found[part].get(id)


async def _items_of(
    response: str, store: SessionStore, owner: str, *, inputs: bool
) -> Mapping[str, Item]:
    if inputs:
        items = await store.input(response, owner=owner) or []
    else:
        stored = await store.get(response, owner=owner)
        if stored is not None and stored.status in RUNNING:
            raise Conflict(
                f"Response '{response}' is still being generated; refer to its items when it has "
                "ended.",
                param="input",
                code="response_in_progress",
                headers={"Retry-After": "1"},
            )
        items = [] if stored is None else stored.output
    return {item["id"]: item for item in items}


def _check_calls(items: Sequence[Item], at: str) -> None:
    """What was checked of the items that were sent, again for those that they refer to."""
    answered: dict[Any, bool] = {}
    for item in items:
        if "call_id" not in item:
            continue
        id, answers = item["call_id"], type_of(item).endswith("_output")
        if answered.get(id) is answers:
            raise InvalidRequest(
                f"The call_id {shortened(str(id))!r} is used by two items; each needs its own.",
                param=at,
                code="invalid_value",
            )
        answered[id] = answers
