"""Fills the record of one response while it is generated, and shows it to the observers.

What is told of a response to whoever watches it is decided here; what they make of it, in
`telemetry`.
"""

import dataclasses
import logging
import time

from responses_mw.assembler import ResponseAssembler
from responses_mw.errors import ResponsesError
from responses_mw.records import Content, Observers, Redact, TurnRecord

logger = logging.getLogger("responses_mw")


class Noting:
    """`asked` is set where the record shall hold what was said. `redact` gets that before any
    observer does."""

    def __init__(
        self,
        record: TurnRecord,
        observers: Observers = (),
        *,
        asked: Content | None = None,
        redact: Redact | None = None,
    ) -> None:
        self.record = record
        self._observers = observers
        self._asked = asked
        self._redact = redact

    def start(self) -> None:
        for observer in self._observers:
            observer.on_start(self.record)

    def first_delta(self) -> None:
        self.record.first_delta_s = time.monotonic()
        for observer in self._observers:
            observer.on_first_delta(self.record)

    def end(self, assembler: ResponseAssembler, error: ResponsesError | None) -> None:
        """`error` is what kept it from having any output."""
        record = self.record
        record.ended_s = time.monotonic()
        record.usage = assembler.usage
        record.status, record.error = assembler.status, assembler.error_code
        if error is not None:
            record.status, record.error = "failed", error.code or error.type
        if self._asked is not None:
            said = dataclasses.replace(self._asked, output=assembler.output)
            record.content = _redacted(said, self._redact)
        for observer in self._observers:
            observer.on_end(record)


def _redacted(content: Content, redact: Redact | None) -> Content | None:
    if redact is None:
        return content
    try:
        return redact(content)
    except Exception as error:
        # What could not be redacted is not shown, and is no reason to lose the response. Its
        # message may quote what it was given.
        logger.error(
            "redact_content raised %s: nothing that was said is told", type(error).__name__
        )
        return None
