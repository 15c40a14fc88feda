"""Translates any provider's error into ours: status, type, code, and how long to wait.

One table for every wire format, because the shapes overlap and gateways mix them. It reads bytes
and headers and does nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

import orjson

from responses_mw.errors import UpstreamError, UpstreamRefused

MAX_MESSAGE = 1000

CONTEXT_LENGTH_CODES = {
    "context_length_exceeded",
    "exceed_context_size_error",
    "request_too_large",
    "too_many_prompt_tokens",
    "too_many_tokens",
}
CONTEXT_LENGTH_TEXT = re.compile(
    r"prompt (is )?too long|input is too long|input tokens exceeded|too many tokens"
    r"|input token count .{0,40}exceeds|maximum context length|max context length"
    r"|available context size|context window|exceeds? (the )?context limit",
    re.IGNORECASE,
)
SPENT_CODES = {"insufficient_quota", "enforced_spend_limit_reached", "billing_hard_limit_reached"}
UNKNOWN_MODEL_CODES = {"model_not_found", "deploymentnotfound", "not_found_error"}
UNKNOWN_MODEL_TEXT = re.compile(r"model identifier is invalid", re.IGNORECASE)
BAD_KEY_CODES = {"api_key_invalid", "invalid_api_key"}
BAD_KEY_TEXT = re.compile(r"(incorrect|invalid) api key|api key not valid", re.IGNORECASE)

STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error met inside a stream would have been as an HTTP answer; anything else is 500."""

SERVER_STATUS = {408: 504, 409: 503, 424: 502, 425: 503, 498: 503, 529: 503}
"""Passing troubles whose own status would read as the caller's mistake, or is not registered."""

LONG_WORD = re.compile(r"[A-Za-z0-9_*<>.-]{12,}")
KEY_LIKE = re.compile(r"[\d*]")
"""Of long words. Both in one expression would take seconds for a word of many letters."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What an error says, whatever its shape. `codes` are all its codes and types, lower case."""

    message: str = ""
    code: str | None = None
    param: str | None = None
    codes: frozenset[str] = frozenset()
    status: int | None = None
    retry_after: float | None = None


def upstream_error(
    status: int, headers: Mapping[str, str], body: bytes, *, provider: str
) -> UpstreamError:
    """`headers` have lower-case names. The status is the upstream's own."""
    return _translate(status, headers, _read(body), provider)


def streamed_error(event: object, *, provider: str) -> UpstreamError:
    """An error met in a stream that had begun with 200. `event` is the decoded JSON around it."""
    fault = _fault(event)
    status = fault.status
    if status is None or not 400 <= status < 600:
        known = (STATUS_OF_TYPE[code] for code in fault.codes if code in STATUS_OF_TYPE)
        status = max(known, default=500)
    return _translate(status, {}, fault, provider)


def _translate(
    status: int, headers: Mapping[str, str], fault: _Fault, provider: str
) -> UpstreamError:
    status, type, code, param = _verdict(status, fault)
    message = fault.message or f"{provider} answered HTTP {status} and did not say why"
    if status in (401, 403):
        message = LONG_WORD.sub(_unless_key_like, message)
    return UpstreamRefused(
        message[:MAX_MESSAGE],
        status=status,
        type=type,
        code=code,
        param=param,
        provider=provider,
        retry_after=_retry_after(headers, fault),
        retryable=_retryable(status, code, headers),
    )


def _unless_key_like(word: re.Match[str]) -> str:
    return "[redacted]" if KEY_LIKE.search(word[0]) else word[0]


def _verdict(status: int, fault: _Fault) -> tuple[int, str, str | None, str | None]:
    """Our status, type, code and param. Text counts only where providers say it no other way."""
    if status in SERVER_STATUS or not 400 <= status < 500:
        known = SERVER_STATUS.get(status, status if 500 <= status < 600 else 502)
        return known, "server_error", "server_error", None
    if status == 402 or (status in (403, 429) and fault.codes & SPENT_CODES):
        return 429, "insufficient_quota", "insufficient_quota", None
    if status == 429 or (status == 413 and "rate_limit_exceeded" in fault.codes):
        return 429, "rate_limit_error", "rate_limit_exceeded", None
    if status == 401 or (status == 400 and _is_bad_key(fault)):
        return 401, "authentication_error", "invalid_api_key", None
    if status == 403:
        return 403, "permission_error", "permission_denied", None
    if status == 404 or (status == 400 and _is_unknown_model(fault)):
        code = "model_not_found" if fault.message else None  # no message: a wrong address
        return 404, "invalid_request_error", code, "model" if code else None
    if status == 413 or _is_context_length(fault):
        return 400, "invalid_request_error", "context_length_exceeded", "input"
    return 400, "invalid_request_error", fault.code, fault.param


def _is_bad_key(fault: _Fault) -> bool:
    return bool(fault.codes & BAD_KEY_CODES) or BAD_KEY_TEXT.search(fault.message) is not None


def _is_unknown_model(fault: _Fault) -> bool:
    if fault.codes & UNKNOWN_MODEL_CODES:
        return True
    return UNKNOWN_MODEL_TEXT.search(fault.message) is not None


def _is_context_length(fault: _Fault) -> bool:
    if fault.codes & CONTEXT_LENGTH_CODES:
        return True
    return CONTEXT_LENGTH_TEXT.search(fault.message) is not None


def _retryable(status: int, code: str | None, headers: Mapping[str, str]) -> bool:
    """Whether the same request may succeed at the same upstream a little later."""
    match headers.get("x-should-retry"):
        case "true":
            return True
        case "false":
            return False
    if code == "insufficient_quota" or status == 501:
        return False
    return status == 429 or status >= 500


def _read(body: bytes) -> _Fault:
    try:
        return _fault(orjson.loads(body))
    except orjson.JSONDecodeError:
        text = body[: 4 * MAX_MESSAGE].decode("utf-8", "replace").strip()
        # A proxy's HTML page says nothing that a client could use.
        return _Fault() if text.startswith("<") else _Fault(message=text)


def _fault(value: Any) -> _Fault:
    if isinstance(value, list):  # Gemini wraps the errors of its streams
        value = value[0] if value else None
    if isinstance(value, str):
        return _Fault(message=value)
    if not isinstance(value, Mapping):
        return _Fault()
    inner = value.get("error")
    if isinstance(inner, str) and inner:  # xAI, Ollama
        value = {**value, "message": inner}
    elif isinstance(inner, Mapping):
        value = inner
    return _fields(value)


def _fields(error: Mapping[str, Any]) -> _Fault:
    code, param = error.get("code"), error.get("param")
    details = _details(error)
    names = [
        error.get("type"), error.get("status"), error.get("error_type"), code,
        *(detail.get("reason") for detail in details),
        *(detail.get("error_code") for detail in details),
    ]  # fmt: skip
    return _Fault(
        message=_message(error),
        code=code if isinstance(code, str) and not code.isdigit() else None,
        param=param if isinstance(param, str) else None,
        codes=frozenset(name.lower() for name in names if isinstance(name, str)),
        status=_status(error),
        retry_after=next(
            (seconds for detail in details if (seconds := _delay(detail.get("retryDelay")))), None
        ),
    )


def _message(error: Mapping[str, Any]) -> str:
    for key in ("message", "detail", "Message"):  # Mistral, FastAPI: detail; AWS: either case
        text = error.get(key)
        if isinstance(text, str) and text:
            return text
        if isinstance(text, list | Mapping) and text:
            return orjson.dumps(text).decode()
    return ""


def _status(error: Mapping[str, Any]) -> int | None:
    for key in ("status_code", "code", "http_status"):
        value = error.get(key)
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    details = error.get("details")
    if isinstance(details, Mapping):  # Anthropic: one object
        details = [details]
    if not isinstance(details, list):
        return []
    return [detail for detail in details if isinstance(detail, Mapping)]


def _retry_after(headers: Mapping[str, str], fault: _Fault) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds:  # Azure sends 0 beside a whole second that it means
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None and value is not None:
        seconds = _until(value, headers.get("date"))
    return fault.retry_after if seconds is None else seconds


def _until(retry_after: str, date: str | None) -> float | None:
    """Retry-After may be a date: it counts from the answer's own Date, whatever our clock says."""
    try:
        wait = parsedate_to_datetime(retry_after) - parsedate_to_datetime(date or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait.total_seconds())


def _delay(duration: Any) -> float | None:
    """A protobuf Duration in JSON: seconds with an s."""
    if not isinstance(duration, str) or not duration.endswith("s"):
        return None
    return _number(duration[:-1])


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and isfinite(number) and number >= 0 else None
