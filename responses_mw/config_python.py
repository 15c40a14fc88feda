"""Python that a configuration file names, `python/package.module:attribute`: providers, callbacks
and hooks.

What may stand behind such a name is checked here, once, before anything is served.
"""

import importlib
from collections.abc import Sequence
from typing import Any

from responses_mw import hooks
from responses_mw.config_table import Table
from responses_mw.errors import ConfigurationError
from responses_mw.router import Provider
from responses_mw.telemetry import callbacks

PREFIX = "python/"
COUNTED = "prometheus"
TRACED = "otel"
"""LiteLLM's names of what this server has, too."""

_TOLD_OF = {
    "success_callback": ("on_success",),
    "failure_callback": ("on_failure",),
    "callbacks": callbacks.METHODS,
}


def provider(name: str, path: str) -> Provider:
    """`package.module:attribute`: a provider, or a class or function that makes one."""
    found = _imported(name, path)
    if isinstance(found, type) or not isinstance(found, Provider):
        if not callable(found):
            raise ConfigurationError(f"{path}: {name} is neither a provider nor makes one")
        found = found()
    if not isinstance(found, Provider):
        raise ConfigurationError(
            f"{path}: {name} gave a {type(found).__name__}; a provider has a method stream(turn)"
        )
    return found


def watching(litellm: Table) -> tuple[tuple[Any, ...], frozenset[str]]:
    """The callbacks, and which of COUNTED and TRACED are wanted. Warns of other vendors' names."""
    # By name: the events it is told of, and which key says so.
    named: dict[str, dict[str, str]] = {}
    for key, events in _TOLD_OF.items():
        for name in litellm.text_or_texts(key) or ():
            path = f"{litellm.path}.{key}"
            if not name.startswith(PREFIX) and name not in (COUNTED, TRACED):
                litellm.warn(
                    f"{path}: {name!r} is not supported and has no effect; "
                    f"{COUNTED}, {TRACED} and {PREFIX}package.module:attribute are"
                )
                continue
            named.setdefault(name, {}).update(dict.fromkeys(events, path))
    wanted = frozenset({COUNTED, TRACED} & named.keys())
    return tuple(_callback(name, named[name]) for name in named if name not in wanted), wanted


def turn_hooks(general: Table) -> tuple[Any, ...]:
    path, found = f"{general.path}.hooks", []
    for name in general.texts("hooks") or ():
        if not name.startswith(PREFIX):
            raise ConfigurationError(
                f"{path}: {PREFIX}package.module:attribute is needed, not {name!r}"
            )
        hook = _imported(name.removeprefix(PREFIX), path)
        _check_has_one_of(hooks.METHODS, hook, name, path)
        found.append(hook)
    return tuple(found)


def _callback(name: str, events: dict[str, str]) -> Any:
    """An object that is told of these events and no others."""
    path = next(iter(events.values()))
    found = _imported(name.removeprefix(PREFIX), path)
    found = found() if isinstance(found, type) else found
    methods = {event: getattr(found, event, None) for event in events}
    if not any(methods.values()) and callable(found) and len(events) < len(callbacks.METHODS):
        methods = dict.fromkeys(events, found)
    known = {event: staticmethod(method) for event, method in methods.items() if method is not None}
    if not known:
        _check_has_one_of(tuple(events), found, name, path)
    # A type by its own name: what is too slow or raises is counted and logged by that.
    module, _, attribute = name.removeprefix(PREFIX).partition(":")
    return type(attribute, (), {"__module__": module, **known})()


def _check_has_one_of(methods: Sequence[str], found: Any, name: str, path: str) -> None:
    if not any(callable(getattr(found, method, None)) for method in methods):
        raise ConfigurationError(f"{path}: {name} has none of the methods {', '.join(methods)}")


def _imported(name: str, path: str) -> Any:
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigurationError(f"{path}: python/package.module:attribute is needed, not {name!r}")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ImportError as error:
        raise ConfigurationError(f"{path}: {module_name} cannot be imported: {error}") from error
    except AttributeError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return found
