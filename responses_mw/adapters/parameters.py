"""A request's body, filled parameter by parameter where vendors differ in which they know.

Shared by the adapters of OpenAI's two formats.
"""

from typing import Any

from responses_mw.adapters.omissions import responses_only
from responses_mw.turn import Turn


class Parameters:
    """`dropped`: what was left out, by the name that the Responses API has for it."""

    def __init__(self, model: str) -> None:
        self.body: dict[str, Any] = {"model": model}
        self.dropped: list[str] = []
        self.hints: list[str] = []
        """Left out, too, and named; but no answer depends on them, so a strict turn goes on."""

    def leave_out(self, turn: Turn) -> None:
        """What only an upstream that speaks Responses is told."""
        dropped, hints = responses_only(turn)
        self.dropped += dropped
        self.hints += hints

    def put(self, name: str, value: Any) -> None:
        if value is not None:
            self.body[name] = value

    def put_or_drop(self, name: str, value: Any, *, known: bool, field: str | None = None) -> None:
        """`field` is what the Responses API calls it."""
        if known:
            self.put(name, value)
        elif value is not None:
            self.dropped.append(field or name)

    def hint(self, name: str, value: str | None, field: str | None) -> None:
        """`field` is what the upstream calls it, if it does."""
        if field is not None:
            self.put(field, value)
        elif value is not None:
            self.hints.append(name)
