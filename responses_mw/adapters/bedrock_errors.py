"""What Bedrock calls its errors, over HTTP and inside a stream, and which statuses they are.

How a status becomes an error of ours stands in `upstream_errors.py`.
"""

from collections.abc import Mapping

from responses_mw.adapters.upstream_errors import upstream_error
from responses_mw.errors import UpstreamError

_STREAMED = {
    "accessdeniedexception": 403,
    "modelnotreadyexception": 429,
    "modelstreamerrorexception": 424,
    "modeltimeoutexception": 408,
    "resourcenotfoundexception": 404,
    "servicequotaexceededexception": 429,
    "serviceunavailableexception": 503,
    "throttlingexception": 429,
    "validationexception": 400,
}
"""What an exception met inside a stream would have been as an HTTP answer; any other is 500."""

_MISLEADING = {"servicequotaexceededexception": 429}
"""AWS answers 400; but another deployment may have quota left, and so may this one later."""


def is_exception(event: str | None) -> bool:
    return event is not None and event.endswith("Exception")


def streamed_exception(name: str, payload: bytes, *, provider: str) -> UpstreamError:
    return upstream_error(_STREAMED.get(name.lower(), 500), {}, payload, provider=provider)


def http_error(
    status: int, headers: Mapping[str, str], body: bytes, *, provider: str
) -> UpstreamError:
    """The type stands in a header, before a colon; some put a namespace before it."""
    named = headers.get("x-amzn-errortype", "").partition(":")[0].rpartition("#")[2]
    return upstream_error(_MISLEADING.get(named.lower(), status), headers, body, provider=provider)
