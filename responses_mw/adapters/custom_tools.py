"""Custom tools, whose input is plain text, for upstreams that know functions alone: each is offered
as a function of one string, and what calls it is told as the custom call it stands for.

A conversation's custom calls are written so by every format already.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from responses_mw.adapters.upstream_json import whole_characters
from responses_mw.deltas import (
    Canonical,
    Delta,
    ItemFinished,
    MessageStarted,
    OutputItem,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    TextRun,
    ToolCallDelta,
    ToolCallStarted,
)
from responses_mw.ids import new_id
from responses_mw.turn import Turn

_INPUT = "response.custom_tool_call_input"
_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_HEAD = 64
_CHARACTERS = re.compile(
    r'(?:[^"\\]|\\(?:["\\/bfnrt]|u(?![dD][89abAB])[0-9a-fA-F]{4}|u[dD][89abAB][0-9a-fA-F]{2}'
    r"(?:\\u[0-9a-fA-F]{4}|(?=[^\\]|\\[^u]))))*"
)
"""As many as are whole; of a pair both halves, and a half where no other follows."""
_LONGEST_CHARACTER = 12
_LONGEST_ID = 64
_SPOKEN = (TextDelta, TextRun, RefusalDelta, ReasoningDelta, MessageStarted)
_ENDING = (ItemFinished, ToolCallStarted, OutputItem)


def custom_names(turn: Turn) -> frozenset[str]:
    return frozenset(tool["name"] for tool in turn.tools if tool["type"] == "custom")


def as_functions(turn: Turn) -> Turn:
    """The same turn, its custom tools offered as functions."""
    choice = turn.tool_choice
    if not isinstance(choice, str):
        choice = _as_choice(choice)
        if "tools" in choice:
            choice = {**choice, "tools": [_as_choice(tool) for tool in choice["tools"]]}
    return replace(turn, tools=[_as_function(tool) for tool in turn.tools], tool_choice=choice)


def _as_choice(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**choice, "type": "function"} if choice.get("type") == "custom" else choice


def _as_function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool["type"] != "custom":
        return tool
    form = tool.get("format") or {}
    told = [
        tool.get("description") or "",
        "The field `input` takes all of the tool's input as text.",
    ]
    if form.get("type") == "grammar":
        told.append(f"It must match this {form.get('syntax')} grammar:\n{form.get('definition')}")
    return {
        "type": "function",
        "name": tool["name"],
        "description": "\n\n".join(filter(None, told)),
        "parameters": {
            "type": "object",
            "properties": {"input": {"type": "string"}},
            "required": ["input"],
            "additionalProperties": False,
        },
    }


class CustomCalls:
    """Of one answer: its calls of functions that stand for custom tools, made custom again."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._open: dict[str | int, _Call] = {}
        self._speaks = False
        """A message or reasoning is open, which a call ends."""

    def told(self, deltas: Iterable[Delta]) -> list[Delta]:
        return [told for delta in deltas for told in self._told(delta)]

    def _told(self, delta: Delta) -> Iterator[Delta]:
        match delta:
            case ToolCallStarted(name=name) if name in self._names:
                if self._speaks:
                    yield ItemFinished()
                self._speaks = False
                call = self._open[delta.key] = _Call.of(delta)
                yield call.event("response.output_item.added", item=call.item)
            case ToolCallDelta(key, arguments) if key in self._open:
                yield from self._open[key].argue(arguments)
            case ItemFinished(key=key) if key is not None and key in self._open:
                yield from self._open.pop(key).closed("completed")
            case Stopped(reason):
                for call in self._open.values():
                    yield from call.closed("completed" if reason == "stop" else "incomplete")
                self._open.clear()
                yield delta
            case _:
                if isinstance(delta, _SPOKEN):
                    self._speaks = True
                elif isinstance(delta, _ENDING):
                    self._speaks = False
                yield delta


@dataclass(slots=True)
class _Call:
    key: str
    item: dict[str, Any]
    pieces: list[str] = field(default_factory=list)
    waiting: str = ""
    """Of its arguments, as JSON."""
    form: str = "unknown"

    @classmethod
    def of(cls, started: ToolCallStarted) -> "_Call":
        id = started.call_id
        item = {
            **started.extra,
            "type": "custom_tool_call",
            "status": "in_progress",
            "call_id": id if id and len(id) <= _LONGEST_ID else new_id("call"),
            "name": started.name,
            "input": "",
        }
        return cls(f"custom {started.key}", item)

    def event(self, type: str, **fields: Any) -> Canonical:
        return Canonical({"type": type, "output_index": 0, **fields}, self.key)

    def argue(self, arguments: str) -> Iterator[Delta]:
        text = self._read(arguments)
        if text:
            self.pieces.append(text)
            yield self.event(f"{_INPUT}.delta", item_id="", delta=text)

    def closed(self, status: str) -> Iterator[Delta]:
        cut = self.form == "input" and status == "incomplete"
        if self.waiting.strip(" {}\n") and not cut:
            self.form = "other"
            yield from self.argue("")
        text = "".join(self.pieces)
        yield self.event(f"{_INPUT}.done", item_id="", input=text)
        item = {**self.item, "status": status, "input": text}
        yield self.event("response.output_item.done", item=item)

    def _read(self, arguments: str) -> str:
        """What more of the input they tell. A model that gives its function something else is taken
        at its word."""
        if self.form == "ended":
            return ""
        self.waiting += arguments
        if self.form == "unknown":
            head = _HEAD.match(self.waiting)
            if head is not None:
                self.form, self.waiting = "input", self.waiting[head.end() :]
            elif len(self.waiting) > _LONGEST_HEAD:
                self.form = "other"
        if self.form == "input":
            return self._characters()
        if self.form == "other":
            text, self.waiting = self.waiting, ""
            return text
        return ""

    def _characters(self) -> str:
        whole = _CHARACTERS.match(self.waiting)
        assert whole is not None  # it matches nothing, too
        self.waiting = self.waiting[whole.end() :]
        if self.waiting.startswith('"'):
            self.form, self.waiting = "ended", ""
        text: str = whole_characters(json.loads(f'"{whole[0]}"', strict=False))
        if len(self.waiting) >= _LONGEST_CHARACTER:  # no escape of JSON's
            self.form = "other"
            text += self._read("")
        return text
