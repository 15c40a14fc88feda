"""The Responses API for any Starlette or FastAPI application, over any model provider.

The public names, and nothing else. Each is loaded when it is first used: an application that never
calls an upstream over HTTP does not pay for an HTTP client. Tests find theirs in
`responses_mw.testing`, stores are in the package `stores`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from responses_mw import deltas, errors
    from responses_mw.adapters.anthropic import AnthropicMessages
    from responses_mw.adapters.base import Adapter
    from responses_mw.adapters.chat_completions import ChatCompletions
    from responses_mw.adapters.chat_dialects import ChatDialect
    from responses_mw.app import ResponsesApp
    from responses_mw.calls import (
        Router,
        acancel_responses,
        acompact_responses,
        adelete_responses,
        aget_responses,
        alist_input_items,
        aresponses,
        cancel_responses,
        compact_responses,
        delete_responses,
        get_responses,
        list_input_items,
        responses,
    )
    from responses_mw.deltas import Delta
    from responses_mw.errors import (
        ConfigurationError,
        InvalidRequest,
        ResponsesError,
        UpstreamError,
    )
    from responses_mw.heard import AsyncEventStream, EventStream
    from responses_mw.local import LocalModel
    from responses_mw.middleware import ResponsesMiddleware
    from responses_mw.router import Deployment, Provider, Routing
    from responses_mw.settings import Settings
    from responses_mw.transport import HTTPProvider, Timeouts
    from responses_mw.turn import Span, Turn
    from responses_mw.typed import Event, Response

__all__ = [
    "Adapter",
    "AnthropicMessages",
    "AsyncEventStream",
    "ChatCompletions",
    "ChatDialect",
    "ConfigurationError",
    "Delta",
    "Deployment",
    "Event",
    "EventStream",
    "HTTPProvider",
    "InvalidRequest",
    "LocalModel",
    "Provider",
    "Response",
    "ResponsesApp",
    "ResponsesError",
    "ResponsesMiddleware",
    "Router",
    "Routing",
    "Settings",
    "Span",
    "Timeouts",
    "Turn",
    "UpstreamError",
    "acancel_responses",
    "acompact_responses",
    "adelete_responses",
    "aget_responses",
    "alist_input_items",
    "aresponses",
    "cancel_responses",
    "compact_responses",
    "delete_responses",
    "deltas",
    "errors",
    "get_responses",
    "list_input_items",
    "responses",
]

_HOMES = {
    "Adapter": "adapters.base",
    "AnthropicMessages": "adapters.anthropic",
    "AsyncEventStream": "heard",
    "ChatCompletions": "adapters.chat_completions",
    "ChatDialect": "adapters.chat_dialects",
    "ConfigurationError": "errors",
    "Delta": "deltas",
    "Deployment": "router",
    "Event": "typed",
    "EventStream": "heard",
    "HTTPProvider": "transport",
    "InvalidRequest": "errors",
    "LocalModel": "local",
    "Provider": "router",
    "Response": "typed",
    "ResponsesApp": "app",
    "ResponsesError": "errors",
    "ResponsesMiddleware": "middleware",
    "Router": "calls",
    "Routing": "router",
    "Settings": "settings",
    "Span": "turn",
    "Timeouts": "transport",
    "Turn": "turn",
    "UpstreamError": "errors",
    "acancel_responses": "calls",
    "acompact_responses": "calls",
    "adelete_responses": "calls",
    "aget_responses": "calls",
    "alist_input_items": "calls",
    "aresponses": "calls",
    "cancel_responses": "calls",
    "compact_responses": "calls",
    "delete_responses": "calls",
    "get_responses": "calls",
    "list_input_items": "calls",
    "responses": "calls",
}
_MODULES = ("deltas", "errors")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found  # the next use does not come here
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
