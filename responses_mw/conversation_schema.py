"""The bodies of the conversation routes."""

from typing import Any, Self

from pydantic import Field, SkipValidation

from responses_mw import checks
from responses_mw.checks import Wrong
from responses_mw.items import Item, check_items, is_trigger
from responses_mw.metadata import Metadata
from responses_mw.schema import RequestBody

MAX_ITEMS = 20
"""In one request (OpenAI's document)."""


class NewItems(RequestBody):
    items: SkipValidation[list[Item]]

    def _checked(self) -> Self:
        _check(self.items)
        return self


class NewConversation(RequestBody):
    metadata: Metadata = Field(default={})
    items: SkipValidation[list[Item]] = Field(default=[])

    def _checked(self) -> Self:
        _check(self.items)
        return self


class ConversationUpdate(RequestBody):
    metadata: Metadata


def _check(items: Any) -> None:
    if not isinstance(items, list):
        raise checks.wrong_type("items", items, "an array of items")
    if len(items) > MAX_ITEMS:
        raise Wrong("items", f"may hold at most {MAX_ITEMS} items, not {len(items)}")
    try:
        check_items(items)
        if items and is_trigger(items[-1]):
            raise Wrong(f"[{len(items) - 1}]", "is a compaction_trigger, which asks for a response")
    except Wrong as wrong:
        raise wrong.under("items") from None
