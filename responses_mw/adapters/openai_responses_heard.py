"""How far an item of a Responses answer has been heard."""

from dataclasses import dataclass
from typing import Any

from responses_mw.turn import Item


@dataclass(slots=True)
class Heard:
    """An item so far. `parts` have been told, the last of them to `said` characters.

    `again`: something else came in between, so the item is told as two.
    """

    kind: str
    again: bool = False
    item: Item | None = None
    parts: int = 0
    place: tuple[str, Any] | None = None
    said: int = 0
    annotations: int = 0
