"""What a host application, and this project, tests with.

Names are loaded when they are first used: pytest imports this package at every start, through the
plugin, whether a test wants it or not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from responses_mw.testing.check_model import CheckModel
    from responses_mw.testing.client import openai_client
    from responses_mw.testing.order import check_event_order
    from responses_mw.testing.play import play_recording
    from responses_mw.testing.providers import EchoProvider, OutOfAnswers, ScriptedProvider

__all__ = [
    "CheckModel",
    "EchoProvider",
    "OutOfAnswers",
    "ScriptedProvider",
    "check_event_order",
    "openai_client",
    "play_recording",
]

_HOMES = {
    "CheckModel": "check_model",
    "EchoProvider": "providers",
    "OutOfAnswers": "providers",
    "ScriptedProvider": "providers",
    "check_event_order": "order",
    "openai_client": "client",
    "play_recording": "play",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
