"""The log: one event per response that has ended, and the lines it is written in.

Which fields an event has is decided here. It never holds a key, and what was said only where
`Settings(log_content=True)` put it into the record.
"""

import contextlib
import itertools
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson

from responses_mw.batch import drain_all
from responses_mw.records import Attempt, Content, Observer, TurnRecord

logger = logging.getLogger("responses_mw.turns")

Format = Literal["text", "json"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message"}
"""What every LogRecord has: anything else came as `extra`."""
_BEGINNING = len(vars(logging.makeLogRecord({})))
_NANO = 1_000_000_000
_Told = tuple[TurnRecord, float]
"""What a line is made of, and when it ended: seconds since the epoch."""


class TurnLog(Observer):
    """Logs every end at INFO on `responses_mw.turns`, its fields as `extra`."""

    def on_end(self, record: TurnRecord) -> None:
        if logger.isEnabledFor(logging.INFO):
            logger.handle(_event(record, time.time()))


class TurnLines(Observer):
    """The same log, many ends at once: for where it goes to `Rows` alone, which need no event to
    write a line. Should others listen later, they get their events, late by that much."""

    def on_ended(self, records: Sequence[TurnRecord]) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        epoch = time.time() - time.monotonic()
        told = [(record, epoch + (record.ended_s or record.started_s)) for record in records]
        rows = _rows()
        if rows is not None:
            rows.write(told)
            return
        for record, ended in told:
            logger.handle(_event(record, ended))


def turn_log() -> Observer:
    """For how logging is set up now."""
    return TurnLog() if _rows() is None else TurnLines()


def _event(record: TurnRecord, created: float) -> logging.LogRecord:
    """What `logger.info(..., extra=fields(record))` makes, in half the time: it need not look for
    its caller nor compare names, which are ours."""
    said = (record.id, record.status)
    event = logger.makeRecord(logger.name, logging.INFO, __file__, 0, "%s %s", said, None)
    event.created, event.msecs = created, created % 1 * 1000 // 1
    vars(event).update(fields(record))
    return event


def _rows() -> "Rows | None":
    """Where all of an event would go to these alone and nobody adds to it, it need not be made."""
    if logger.filters or logging.getLogRecordFactory() is not logging.LogRecord:
        return None
    found: list[logging.Handler] = []
    told: logging.Logger | None = logger
    while told is not None:
        found += told.handlers
        told = told.parent if told.propagate else None
    if len(found) != 1:
        return None
    [rows] = found
    return rows if type(rows) is Rows and rows.takes_all else None


def fields(record: TurnRecord) -> dict[str, Any]:
    """Seconds, dollars, tokens. None is unknown; a field about something that did not happen is
    None, too."""
    caller, usage, attempts = record.caller, record.usage, record.attempts
    again = _asked_again(attempts) if len(attempts) > 1 else 0
    told: dict[str, Any] = {
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
        "fallback": record.fallback,
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
        "retries": again,
        "fallbacks": max(0, len(attempts) - 1 - again),
        "attempts": [_attempt(each) for each in attempts],
    }
    if record.content is not None:
        told["content"] = _content(record.content)
    return told


class JSONLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the fields given as `extra`."""

    def __init__(self) -> None:
        super().__init__()
        self._second = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self._time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _extra(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()

    def turn(self, record: TurnRecord, created: float) -> str:
        """The same line, without the event between."""
        # Of all else the keys are ours, and orjson need not look whether they are text.
        option = None if record.content is None else orjson.OPT_NON_STR_KEYS
        known = orjson.dumps(fields(record), default=repr, option=option).decode()
        return (
            f'{{"time":"{self._time(created)}","level":"info","logger":"{logger.name}",'
            f'"message":"{record.id} {record.status}",{known[1:]}'
        )

    def _time(self, created: float) -> str:
        second = int(created)
        known, text = self._second
        if known != second:
            text = datetime.fromtimestamp(second, UTC).isoformat()[:-6]
            self._second = second, text
        return f"{text}.{int((created - second) * 1000):03}+00:00"


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
            for name, value in _extra(record).items()
            if name not in ("response_id", "status") and _says(value)
        )
        return " ".join((text, *known))


class Rows(logging.StreamHandler[TextIO]):
    """Writes the lines of turns many at once. Before anything else it writes those that wait."""

    def emit(self, record: logging.LogRecord) -> None:
        drain_all()
        super().emit(record)

    def write(self, told: Sequence[_Told]) -> None:
        turn = self.formatter.turn if type(self.formatter) is JSONLines else self._turn
        lines = [turn(*each) for each in told]
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError, ValueError):
            self.stream.write(self.terminator.join([*lines, ""]))
            self.stream.flush()

    @property
    def takes_all(self) -> bool:
        return self.level <= logging.INFO and not self.filters

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            super().flush()

    def _turn(self, record: TurnRecord, created: float) -> str:
        return self.format(_event(record, created))


def write_log(form: Format) -> None:
    """For a process that does nothing but serve: the log of everything in it, on stderr. Turns are
    told as they end; of the rest, warnings."""
    # What nothing here writes need not be asked for each line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = Rows()
    handler.setFormatter(JSONLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logger.setLevel(logging.INFO)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    """Fields that came as `extra` stand behind those that every record begins with."""
    behind = itertools.islice(vars(record).items(), _BEGINNING, None)
    return {name: value for name, value in behind if name not in _STANDARD}


def _asked_again(attempts: Sequence[Attempt]) -> int:
    """A retry asks the same deployment again, a fallback another one."""
    asked = [attempt.deployment for attempt in attempts]
    return sum(before == after for before, after in itertools.pairwise(asked))


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "deployment": attempt.deployment,
        "error": attempt.error,
        "seconds": _micro(attempt.ended_s - attempt.started_s),
    }


def _content(content: Content) -> dict[str, Any]:
    return {
        "instructions": content.instructions,
        "input": list(content.input),
        "output": list(content.output),
    }


def _after(moment_s: float | None, record: TurnRecord) -> float | None:
    return None if moment_s is None else _micro(moment_s - record.started_s)


def _micro(seconds: float) -> float:
    """To the microsecond, in a quarter of the time that asking for six digits takes."""
    return round(seconds * 1e6) / 1e6


def _says(value: Any) -> bool:
    return value not in (None, 0, [])  # False is 0


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else repr(value)
