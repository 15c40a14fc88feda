"""What can go wrong, one tree, split by whose fault it is.

    ResponsesError
    ├── InvalidRequest              the caller's: 4xx, never retried elsewhere
    │   ├── UnsupportedByProvider   400: no upstream field says what this one means
    │   ├── Unauthorized            401
    │   ├── Forbidden               403
    │   ├── NotFound                404
    │   ├── Conflict                409
    │   ├── BodyTooLarge            413
    │   ├── RateLimited             429: a key has asked too much in this minute
    │   └── QuotaExhausted          429: a key's budget is spent
    ├── UpstreamError               the provider's: may be tried elsewhere, before a delta
    │   ├── UpstreamUnavailable     502: no connection, or it broke
    │   ├── UpstreamTimeout         504: connected, and silent for too long
    │   ├── UpstreamRefused         its own HTTP status (401, 429, 5xx) and Retry-After
    │   └── UpstreamProtocolError   502: it answered what its protocol does not know
    ├── ConfigurationError          the operator's: raised at start, never to a client
    └── StoreUnavailable            503: the turn could not be read or kept

Every class knows the envelope it is shown in. A message says what happened, the value and what to
do; never a secret, never a prompt.
"""

from collections.abc import Iterable, Mapping
from typing import Any


class ResponsesError(Exception):
    """`param` is a path such as `tools[0].name`; `headers` go out with the HTTP answer."""

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else type(self).code
        self.headers = dict(headers or {})

    def hide(self, secrets: Iterable[str]) -> None:
        """Takes them out of the message."""
        for secret in secrets:
            self.message = self.message.replace(secret, "[redacted]")
        self.args = (self.message,)

    def envelope(self) -> dict[str, Any]:
        """The body of an HTTP error (protocol: all four keys, always)."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}

    def in_response(self) -> dict[str, str]:
        """What `response.error` says when the response had already begun."""
        return {"code": self.code or self.type, "message": self.message}


class InvalidRequest(ResponsesError):
    status = 400
    type = "invalid_request_error"


class UnsupportedByProvider(InvalidRequest):
    code = "unsupported_parameter"


class Unauthorized(InvalidRequest):
    status = 401
    code = "invalid_api_key"


class Forbidden(InvalidRequest):
    status = 403


class NotFound(InvalidRequest):
    status = 404


class Conflict(InvalidRequest):
    status = 409


class BodyTooLarge(InvalidRequest):
    status = 413
    code = "request_too_large"


class RateLimited(InvalidRequest):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, wait_s: float | None) -> None:
        headers = {} if wait_s is None else {"Retry-After": _whole_seconds(wait_s)}
        super().__init__(message, headers=headers)


class QuotaExhausted(InvalidRequest):
    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


class UpstreamError(ResponsesError):
    """`provider` names the upstream for people; `retry_after` is in seconds, as it said."""

    status = 502

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        headers = {} if retry_after is None else {"Retry-After": _whole_seconds(retry_after)}
        super().__init__(message, param=param, code=code, headers=headers)
        self.provider = provider
        self.retry_after = retry_after


class UpstreamUnavailable(UpstreamError):
    code = "upstream_unavailable"


class UpstreamTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"


class UpstreamRefused(UpstreamError):
    """An HTTP error status of the upstream, already translated to ours."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str,
        code: str | None = None,
        param: str | None = None,
        provider: str | None = None,
        retry_after: float | None = None,
        retryable: bool = True,
    ) -> None:
        super().__init__(
            message, provider=provider, param=param, code=code, retry_after=retry_after
        )
        self.status = status
        self.type = type
        self.retryable = retryable
        if not retryable and status in (408, 409, 429):
            self.headers["x-should-retry"] = "false"


class UpstreamProtocolError(UpstreamError):
    code = "upstream_protocol_error"


class ConfigurationError(ResponsesError):
    """The message is one line that names the key, the value's place and the remedy."""


class StoreUnavailable(ResponsesError):
    status = 503
    code = "store_unavailable"


def _whole_seconds(seconds: float) -> str:
    """Retry-After takes whole seconds (RFC 9110, 10.2.3); rounding down would retry too soon."""
    return str(max(0, -int(-seconds // 1)))
