"""What reading an answer raises where it has another shape than its format says, and what that
becomes.

Decoders read what a format promises without asking first, since asking costs time at every delta,
and catch none of it. Whoever calls them does, once: `Reading` for a stream, `well_formed` else.
"""

import contextlib
from collections.abc import Iterator

from responses_mw.errors import UpstreamProtocolError

WRONG_SHAPE: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

_MAX_NAME = 60


@contextlib.contextmanager
def well_formed(name: str) -> Iterator[None]:
    """Around what reads an answer of the provider `name`."""
    try:
        yield
    except WRONG_SHAPE as error:
        raise wrong_shape(error, name) from error


def wrong_shape(error: Exception, name: str) -> UpstreamProtocolError:
    """`name` is the provider's. What was said stays out of the message but for the name of a
    missing field; raise it `from` the error."""
    reason = type(error).__name__
    if isinstance(error, KeyError) and error.args:
        reason = f"it has no {str(error.args[0])[:_MAX_NAME]!r}"
    return UpstreamProtocolError(
        f"{name} answered in another shape than its format has: {reason}", provider=name
    )
