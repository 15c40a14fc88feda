"""Whatever is done in whatever order on every store: no history is torn, no owner meets another."""

from every_store import store_url
from lives import live

__all__ = ["store_url"]

LIVES = 12
STEPS = 35


def test_every_life_goes_as_the_model_says(store_url: str) -> None:
    """The same lives in every run; `scripts/soak` tries others."""
    live(store_url, lives=LIVES, steps=STEPS, the_same=True)
