"""Which model is asked when one has failed, and what a client is told when all have."""

from collections.abc import Sequence

from responses_mw.errors import (
    InvalidRequest,
    ResponsesError,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamRefused,
    UpstreamTimeout,
)
from responses_mw.routing.options import Names, Routing

CONTENT_POLICY_CODES = {
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "moderation_blocked",
}
ANY = "*"


def is_too_long(error: ResponsesError) -> bool:
    return error.code == "context_length_exceeded"


def is_against_policy(error: ResponsesError) -> bool:
    return (error.code or "").lower() in CONTENT_POLICY_CODES


def fallbacks_for(routing: Routing, model: str, error: ResponsesError) -> Sequence[str]:
    """The models to ask instead. A turn that is wrong in itself is wrong everywhere."""
    if is_too_long(error):
        return _named(routing.context_window_fallbacks, model)
    if is_against_policy(error):
        return _named(routing.content_policy_fallbacks, model)
    if not is_worth_another(error):
        return ()
    return _named(routing.fallbacks, model) or routing.default_fallbacks


def _named(fallbacks: Names, model: str) -> Sequence[str]:
    return fallbacks.get(model) or fallbacks.get(ANY) or ()


def is_worth_another(error: ResponsesError) -> bool:
    """Whether another deployment of the same model may do better."""
    if isinstance(error, UpstreamRefused):
        return error.status not in (400, 413, 422)
    return True


def is_worth_again(error: ResponsesError) -> bool:
    """Whether the same deployment may do better a little later."""
    if isinstance(error, UpstreamRefused):
        return error.retryable
    return isinstance(error, UpstreamError)


def most_telling(errors: Sequence[ResponsesError]) -> ResponsesError:
    """What the client can act on: its own mistake, how long to wait, a server's fault, silence; and
    what only the operator can mend last."""
    return min(errors, key=_rank)


def _rank(error: ResponsesError) -> tuple[int, float]:
    match error:
        case UpstreamRefused() if error.status in (400, 413, 422):
            return 0, 0.0
        case UpstreamRefused() if error.status == 429 and error.retryable:
            return 1, float("inf") if error.retry_after is None else error.retry_after
        case UpstreamRefused() if error.status >= 500:
            return 2, float("inf") if error.retry_after is None else error.retry_after
        case UpstreamTimeout():
            return 3, 0.0
        case UpstreamProtocolError():
            return 4, 0.0
        case UpstreamRefused() | InvalidRequest():
            return 6, 0.0
        case _:
            return 5, 0.0
