"""What a host application, and this project, tests with.

Names are loaded when they are first used: pytest imports this package at every start, through the
plugin, whether a test wants it or not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from responses_mw.testing.order import check_event_order
    from responses_mw.testing.play import play_recording

__all__ = ["check_event_order", "play_recording"]

_HOMES = {
    "check_event_order": "order",
    "play_recording": "play",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
