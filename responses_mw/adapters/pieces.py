"""A conversation taken piece by piece: what each kind of item is, for formats alike in that alone.

What such adapters do alike with items stands here; how anything is written in a format, in the
adapter's own file. Nothing that comes in is modified.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import orjson

from responses_mw.adapters.foreign_items import as_message
from responses_mw.turn import Item, Span

Block = dict[str, Any]
LeaveOut = Callable[[str, str], None]
"""Takes the name of what is left out, and why."""

UNREADABLE = "unreadable_arguments"
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")


class Pieces(ABC):
    """`API`: what the format is called where something has to be left out."""

    API: ClassVar[str]

    def __init__(self, leave_out: LeaveOut) -> None:
        self._leave_out = leave_out

    def add(self, piece: Item | Span) -> None:
        if isinstance(piece, Span):
            self._add_native(piece)
            return
        match piece["type"]:
            case "message":
                self._add_message(piece)
            case "function_call":
                self._add_call(piece, object_of(piece["arguments"]))
            case "custom_tool_call":
                self._add_call(piece, {"input": piece["input"]})
            case "function_call_output" | "custom_tool_call_output":
                self._add_result(piece)
            case "reasoning":
                pass  # another model's, or altered: only its author could use it
            case other:
                self._leave_out(f"input.{other}", f"{self.API} has no {other!r} item")
                if message := as_message(piece):
                    self._add_message(message)

    @abstractmethod
    def _add_native(self, span: Span) -> None: ...

    @abstractmethod
    def _add_message(self, item: Item) -> None: ...

    @abstractmethod
    def _add_call(self, item: Item, arguments: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _add_result(self, item: Item) -> None: ...


class AlternatingPieces(Pieces):
    """`messages` in turns of user and assistant, each with a list of blocks as its content.

    Calls are known by ids that these formats take: `_calls` says where each stands, and its id.
    """

    def __init__(self, leave_out: LeaveOut) -> None:
        super().__init__(leave_out)
        self.messages: list[dict[str, Any]] = []
        self._calls: dict[str, tuple[int, str]] = {}
        self._ids: set[str] = set()
        self._ends_native = False

    def add(self, piece: Item | Span) -> None:
        self._ends_native = isinstance(piece, Span)
        super().add(piece)

    @property
    def ends_with_prefill(self) -> bool:
        """The model is asked to go on in the middle of its own message."""
        return bool(self.messages) and self.messages[-1]["role"] == "assistant"

    def _free_id(self, call_id: str) -> str:
        """An id the API takes, the same one every time; each call of a conversation has its own."""
        id = call_id
        if not _CALL_ID.match(call_id):
            id = "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:32]
        free, again = id, 1
        while free in self._ids:
            again += 1
            free = f"{id[:56]}_{again}"
        self._ids.add(free)
        return free

    def _append(self, role: str, blocks: list[Block]) -> None:
        if blocks:
            self._message(role)["content"].extend(blocks)

    def _message(self, role: str) -> dict[str, Any]:
        if not self.messages or self.messages[-1]["role"] != role:
            self.messages.append({"role": role, "content": []})
        return self.messages[-1]


def object_of(arguments: str) -> dict[str, Any]:
    """Arguments as the object that a call must have; what is none is wrapped, not lost."""
    if not arguments.strip():
        return {}
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {UNREADABLE: arguments}


def as_system(text: str) -> str:
    """For a place where only users speak."""
    return f"<system>\n{text}\n</system>"


def merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one role joined: a message between them may have been left with nothing."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if found and found[-1]["role"] == message["role"]:
            found[-1]["content"].extend(message["content"])
        else:
            found.append(message)
    return found
