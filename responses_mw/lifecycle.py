"""A response from its first event to its terminal one: status, snapshots and sequence numbers.

What happens in between, the assembler says; it builds on this.
"""

from abc import ABC, abstractmethod
from typing import Any

from responses_mw.errors import ResponsesError
from responses_mw.output_items import Event, Item, Status


class Lifecycle(ABC):
    """`response` is the object as created; it is copied, never modified."""

    def __init__(self, response: dict[str, Any]) -> None:
        self._envelope = dict(response)
        self._queued = False
        self._sequence = 0
        self._terminal = False

    @property
    @abstractmethod
    def output(self) -> list[Item]: ...

    @property
    def id(self) -> str:
        return str(self._envelope["id"])

    @property
    def status(self) -> Status:
        status: Status = self._envelope["status"]
        return status

    @property
    def error_code(self) -> str | None:
        error = self._envelope.get("error")
        return None if error is None else str(error["code"])

    @property
    def envelope(self) -> dict[str, Any]:
        """The response without its output."""
        return {key: value for key, value in self._envelope.items() if key != "output"}

    @property
    def sequence(self) -> int:
        """How many events there were."""
        return self._sequence

    @property
    def response(self) -> dict[str, Any]:
        """A valid snapshot between any two calls."""
        return {**self._envelope, "output": self.output}

    def start(self, status: str = "in_progress") -> list[Event]:
        """`queued` puts that event between the other two."""
        self._queued = status == "queued"
        kinds = ["created", "queued", "in_progress"] if self._queued else ["created", "in_progress"]
        events = self._stamp([self._lifecycle(kind, status) for kind in kinds])
        self._envelope["status"] = "in_progress"
        return events

    def revoke(self, error: ResponsesError) -> Event:
        """The end was not kept: says `failed` in place of the terminal event, which nobody saw."""
        self._envelope.update(
            status="failed", error=error.in_response(), completed_at=None, incomplete_details=None
        )
        failed = {"type": "response.failed", "response": self.response}
        return {**failed, "sequence_number": self._sequence - 1}

    def _end(self, events: list[Event], status: str, **fields: Any) -> list[Event]:
        """The terminal event comes last, and once."""
        if self._terminal:
            raise RuntimeError("the response has already ended")
        self._terminal = True
        self._envelope.update(fields, status=status)
        final = {"type": f"response.{status}", "response": self.response}
        return self._stamp([*events, final])

    def _lifecycle(self, kind: str, status: str) -> Event:
        at = "in_progress" if kind == "in_progress" else status
        snapshot = {**self._envelope, "status": at, "output": [], "usage": None}
        return {"type": f"response.{kind}", "response": snapshot}

    def _stamp(self, events: list[Event]) -> list[Event]:
        for event in events:
            event["sequence_number"] = self._sequence
            self._sequence += 1
        return events
