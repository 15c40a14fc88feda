"""An application over a model that says what it is told to say."""

from typing import Any

from responses_mw.app import ResponsesApp
from responses_mw.settings import Settings
from responses_mw.testing import ScriptedProvider
from stores import MemoryStore


def serving(*answers: Any, **settings: Any) -> tuple[ResponsesApp, ScriptedProvider]:
    provider = ScriptedProvider(*answers)
    made = Settings(drain_s=1, **settings)
    return ResponsesApp(store=MemoryStore(), models={"m": provider}, settings=made), provider
