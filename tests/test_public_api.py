"""The names that applications import, and what importing them costs."""

import subprocess
import sys

import pytest

import responses_mw

HEAVY = (
    "aiohttp",
    "alembic",
    "httpx",
    "openai",
    "pydantic",
    "sqlalchemy",
    "starlette",
    "xllamacpp",
)


def test_the_public_names_are_these_and_all_load() -> None:
    assert responses_mw.__all__ == [
        "Adapter", "AnthropicMessages", "AsyncEventStream", "ChatCompletions", "ChatDialect",
        "ConfigurationError", "Delta", "Deployment", "Event", "EventStream", "HTTPProvider",
        "InvalidRequest", "LocalModel", "Provider", "Response", "ResponsesApp", "ResponsesError",
        "ResponsesMiddleware", "Router", "Routing", "Settings", "Span", "Timeouts", "Turn",
        "UpstreamError", "acancel_responses", "acompact_responses", "adelete_responses",
        "aget_responses", "alist_input_items", "aresponses", "cancel_responses",
        "compact_responses", "delete_responses", "deltas", "errors", "get_responses",
        "list_input_items", "responses",
    ]  # fmt: skip
    assert set(responses_mw.__all__) <= set(dir(responses_mw))
    for name in responses_mw.__all__:
        assert getattr(responses_mw, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = responses_mw.nothing


def imported_by(program: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after it."""
    shown = f"import sys; {program}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run(
        [sys.executable, "-c", shown], check=True, capture_output=True, text=True
    )
    return set(found.stdout.split())


def test_importing_the_package_brings_nothing_heavy() -> None:
    assert imported_by("import responses_mw, stores").isdisjoint(HEAVY)


def test_an_application_brings_no_driver_and_no_http_client() -> None:
    brought = imported_by("from responses_mw import ResponsesApp, ResponsesMiddleware, Settings")
    assert {"starlette", "pydantic"} <= brought
    assert brought.isdisjoint({"aiohttp", "alembic", "httpx", "openai", "sqlalchemy", "xllamacpp"})
