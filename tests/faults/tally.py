"""How tests say what they have tried; `conftest` sums it."""

from collections.abc import Callable

Tried = Callable[[str, int], None]
"""`tried("requests", 12)`."""
