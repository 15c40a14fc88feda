"""LiteLLM's headers in requests: those that mean nothing here are named in a warning, once.

What the others mean, `http.caller_of` says; of a key, `cli.gate`.
"""

import logging
from collections.abc import Iterable

logger = logging.getLogger("responses_mw")

_FAMILY = b"x-litellm-"
HONOURED = frozenset({
    b"x-litellm-api-key",
    b"x-litellm-customer-id",
    b"x-litellm-end-user-id",
    b"x-litellm-session-id",
    b"x-litellm-trace-id",
    b"x-litellm-tags",
    b"x-litellm-timeout",
    b"x-litellm-num-retries",
})  # fmt: skip
_MOST = 100
"""Clients make these names up: not all of them are remembered."""


class UnknownHeaders:
    """Of one application."""

    def __init__(self) -> None:
        self._named: set[bytes] = set()

    def warn(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """`headers` as ASGI has them: names in lower case."""
        for name, _ in headers:
            if name.startswith(_FAMILY) and name not in HONOURED and name not in self._named:
                self._name(name)

    def _name(self, name: bytes) -> None:
        if len(self._named) < _MOST:
            self._named.add(name)
            shown = name[:100].decode("ascii", "backslashreplace")
            logger.warning("the header %s has no effect here", shown)
