"""The published schemas of OpenAI and Open Responses, to judge our answers by.

They are not ours to commit: they are read from the checker in the shared folder, with the
corrections that recorded traffic calls for.
"""

import functools
import importlib.util
from typing import Any

from cases import SHARED


@functools.cache
def _schemas() -> Any:
    assert SHARED is not None
    path = SHARED / "check" / "check_openresponses.py"
    spec = importlib.util.spec_from_file_location("check_openresponses", path)
    assert spec is not None
    assert spec.loader is not None
    checker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checker)
    return checker.Schemas(checker.OPEN_RESPONSES_SPEC, checker.OPENAI_SPEC)


def violations(document: str, name: str, value: Any) -> list[str]:
    """`document` is `oa` (OpenAI) or `or` (Open Responses)."""
    found: list[str] = _schemas().errors(document, name, value)
    return found
