"""The log: one event per response that has ended, and the lines it is written in.

Which fields an event has is decided here. It never holds a key, and what was said only where
`Settings(log_content=True)` put it into the record.
"""

import itertools
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from responses_mw.records import Content, TurnRecord

logger = logging.getLogger("responses_mw.turns")

Format = Literal["text", "json"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message"}
"""What every LogRecord has: anything else came as `extra`."""
_NANO = 1_000_000_000


class TurnLog:
    """An Observer that logs every end at INFO on `responses_mw.turns`, its fields as `extra`."""

    def on_start(self, record: TurnRecord) -> None: ...

    def on_first_delta(self, record: TurnRecord) -> None: ...

    def on_end(self, record: TurnRecord) -> None:
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s %s", record.id, record.status, extra=fields(record))


def fields(record: TurnRecord) -> dict[str, Any]:
    """Seconds, dollars, tokens. None is unknown; a field about something that did not happen is
    None, too."""
    caller, usage = record.caller, record.usage
    told = {
        "response_id": record.id,
        "chain": record.chain,
        "previous_response_id": record.previous_response_id,
        "conversation": record.conversation,
        "owner": caller.owner,
        "key_id": caller.key,
        "session": caller.session,
        "tags": list(caller.tags),
        "user": record.end_user,
        "model": record.model,
        "deployment": record.deployment,
        "upstream_model": record.upstream_model,
        "status": record.status,
        "error": record.error,
        "streamed": record.streamed,
        "stored": record.stored,
        "background": record.background,
        "input_tokens": None if usage is None else usage.input_tokens,
        "output_tokens": None if usage is None else usage.output_tokens,
        "cached_tokens": None if usage is None else usage.cached_tokens,
        "cache_write_tokens": None if usage is None else usage.cache_write_tokens,
        "reasoning_tokens": None if usage is None else usage.reasoning_tokens,
        "cost": None if record.cost_nano is None else record.cost_nano / _NANO,
        "latency_s": _after(record.ended_s, record),
        "first_delta_s": _after(record.first_delta_s, record),
        **_attempts(record),
    }
    if record.content is not None:
        told["content"] = _content(record.content)
    return told


class JSONLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the fields given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


class TextLines(logging.Formatter):
    """For people: the message, and behind that of a turn what is known of it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        text = super().formatMessage(record)
        if record.name != logger.name:
            return text
        known = (
            f"{name}={_shown(value)}"
            for name, value in vars(record).items()
            if name not in _STANDARD and name not in ("response_id", "status") and _says(value)
        )
        return " ".join((text, *known))


def write_log(form: Format) -> None:
    """For a process that does nothing but serve: the log of everything in it, on stderr. Turns are
    told as they end; of the rest, warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logger.setLevel(logging.INFO)


def _attempts(record: TurnRecord) -> Mapping[str, Any]:
    """A retry asks the same deployment again, a fallback another one."""
    asked = [attempt.deployment for attempt in record.attempts]
    again = sum(before == after for before, after in itertools.pairwise(asked))
    return {
        "retries": again,
        "fallbacks": max(0, len(asked) - 1 - again),
        "attempts": [
            {
                "deployment": attempt.deployment,
                "error": attempt.error,
                "seconds": round(attempt.ended_s - attempt.started_s, 6),
            }
            for attempt in record.attempts
        ],
    }


def _content(content: Content) -> dict[str, Any]:
    return {
        "instructions": content.instructions,
        "input": list(content.input),
        "output": list(content.output),
    }


def _after(moment_s: float | None, record: TurnRecord) -> float | None:
    return None if moment_s is None else round(moment_s - record.started_s, 6)


def _says(value: Any) -> bool:
    return value not in (None, 0, [])  # False is 0


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else repr(value)
