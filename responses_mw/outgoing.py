"""Headers that every request to an upstream has beside its own: the trace it is part of.

Whoever traces sets them, `transport` sends them; neither knows the other.
"""

from collections.abc import Mapping
from contextvars import ContextVar

HEADERS: ContextVar[Mapping[str, str]] = ContextVar("responses_mw_outgoing_headers")
"""Of the response that is generated in this context. Their names are lower case."""
NONE: Mapping[str, str] = {}
