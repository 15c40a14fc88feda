"""Tools of the client's that are no plain functions, for upstreams that know nothing else: custom
tools, whose input is text, are offered as functions of one string, and those of a namespace under
names of both. What calls them is told as the call it stands for. Tools that a conversation begins
with are offered beside the request's own.

A conversation's custom calls are written so by every format already.
"""

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from responses_mw.turn import CALLS, Item, Span, Turn

_ADDED = "additional_tools"
_STOOD_FOR = ("custom", "namespace")
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST = 64
_INPUT = "response.custom_tool_call_input"
_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_HEAD = 64
_CHARACTERS = re.compile(
    r'(?:[^"\\]|\\(?:["\\/bfnrt]|u(?![dD][89abAB])[0-9a-fA-F]{4}|u[dD][89abAB][0-9a-fA-F]{2}'
    r"(?:\\u[0-9a-fA-F]{4}|(?=[^\\]|\\[^u]))))*"
)
"""As many as are whole; of a pair both halves, and a half where no other follows."""
_LONGEST_CHARACTER = 12
_SPOKEN = (TextDelta, TextRun, RefusalDelta, ReasoningDelta, MessageStarted)
_ENDING = (ItemFinished, ToolCallStarted, OutputItem)


@dataclass(frozen=True, slots=True)
class ClientTool:
    """What a function stands for that an upstream is offered."""

    type: str
    name: str
    namespace: str | None = None

    @property
    def wire_name(self) -> str:
        """Function names have 64 letters, digits, underscores and hyphens everywhere."""
        if self.namespace is None:
            return self.name
        name = _NO_NAME.sub("_", f"{self.namespace}__{self.name}")
        if len(name) <= _LONGEST:
            return name
        told = hashlib.sha256(f"{self.namespace}\0{self.name}".encode()).hexdigest()
        return f"{name[: _LONGEST - 9]}_{told[:8]}"


def with_added_tools(turn: Turn, knows: Callable[[str], bool]) -> Turn:
    """Where an upstream does not know the `additional_tools` that a conversation begins with: the
    same turn with those among its tools. Codex offers some models all of its tools so."""
    first = turn.spans[0].items if turn.spans else ()
    if not first or first[0]["type"] != _ADDED or knows(_ADDED):
        return turn
    added = list(itertools.takewhile(lambda item: item["type"] == _ADDED, first))
    rest = first[len(added) :]
    return replace(
        turn,
        tools=[*turn.tools, *(tool for item in added for tool in item["tools"])],
        spans=[*([Span(rest)] if rest else []), *turn.spans[1:]],
        beginning=None,
    )


def client_tools(turn: Turn, knows: Callable[[str], bool]) -> dict[str, ClientTool]:
    """Those that an upstream is offered as functions, by the names that they have there. `knows`
    says whether it knows a type of tools."""
    found: list[ClientTool] = []
    for tool in turn.tools:
        kind = tool.get("type")  # a hook may have left it out: the adapter says so
        if kind not in _STOOD_FOR or knows(kind):
            continue
        space = tool["name"] if kind == "namespace" else None
        nested = tool["tools"] if space is not None else [tool]
        found += [ClientTool(each["type"], each["name"], space) for each in nested]
    return {tool.wire_name: tool for tool in found}


def as_functions(turn: Turn, tools: Mapping[str, ClientTool]) -> Turn:
    """The same turn with those tools offered, demanded and called as functions."""
    choice = turn.tool_choice
    if not isinstance(choice, str):
        if choice.get("type") != "allowed_tools":
            choice = {"type": "allowed_tools", "mode": "required", "tools": [choice]}
        named = [each for tool in choice["tools"] for each in _as_choices(tool, tools)]
        is_one = len(named) == 1 and choice.get("mode") == "required"
        choice = named[0] if is_one else {**choice, "tools": named}
    plain = replace(turn, tools=list(_as_tools(turn.tools, tools)), tool_choice=choice)
    if all(tool.namespace is None for tool in tools.values()):
        return plain
    spans = [_as_span(span) for span in turn.spans]
    return replace(plain, spans=spans, beginning=None)


def _as_choices(
    choice: Mapping[str, Any], tools: Mapping[str, ClientTool]
) -> Sequence[Mapping[str, Any]]:
    """Of what is demanded or allowed by name; a namespace is as many as it has."""
    kind, name = choice.get("type"), choice.get("name")
    nested = [wire for wire, tool in tools.items() if tool.namespace == name]
    if kind == "custom" and name in tools:
        return [{**choice, "type": "function"}]
    if kind == "namespace" and nested and name is not None:
        return [{"type": "function", "name": wire} for wire in nested]
    return [choice]


def _as_tools(
    offered: Iterable[Mapping[str, Any]], tools: Mapping[str, ClientTool]
) -> Iterator[Mapping[str, Any]]:
    for tool in offered:
        kind = tool.get("type")
        if kind == "custom" and tool["name"] in tools:
            yield _as_function(tool, tool["name"])
        elif kind == "namespace" and _stood_for(tool, tools):
            for each in tool["tools"]:
                name = ClientTool(each["type"], each["name"], tool["name"]).wire_name
                custom = each["type"] == "custom"
                yield _as_function(each, name) if custom else {**each, "name": name}
        else:
            yield tool


def _stood_for(space: Mapping[str, Any], tools: Mapping[str, ClientTool]) -> bool:
    return any(tool.namespace == space["name"] for tool in tools.values())


def _as_function(tool: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    form = tool.get("format") or {}
    told = [
        tool.get("description") or "",
        "The field `input` takes all of the tool's input as text.",
    ]
    if form.get("type") == "grammar":
        told.append(f"It must match this {form.get('syntax')} grammar:\n{form.get('definition')}")
    return {
        "type": "function",
        "name": name,
        "description": "\n\n".join(filter(None, told)),
        "parameters": {
            "type": "object",
            "properties": {"input": {"type": "string"}},
            "required": ["input"],
            "additionalProperties": False,
        },
    }


def _as_span(span: Span) -> Span:
    """Its calls of tools in namespaces have the names that are offered now."""
    if not any(item["type"] in CALLS and item.get("namespace") for item in span.items):
        return span
    return replace(span, items=[_as_item(item) for item in span.items])


def _as_item(item: Item) -> Item:
    if item["type"] not in CALLS or not item.get("namespace"):
        return item
    plain = {key: value for key, value in item.items() if key != "namespace"}
    return {**plain, "name": ClientTool(item["type"], item["name"], item["namespace"]).wire_name}


class ClientCalls:
    """Of one answer: its calls of functions that stand for other tools, told as calls of those."""

    def __init__(self, tools: Mapping[str, ClientTool]) -> None:
        self._tools = tools
        self._open: dict[str | int, _Call] = {}
        self._speaks = False
        """A message or reasoning is open, which a call ends."""

    def told(self, deltas: Iterable[Delta]) -> list[Delta]:
        return [told for delta in deltas for told in self._told(delta)]

    def _told(self, delta: Delta) -> Iterator[Delta]:
        match delta:
            case ToolCallStarted(name=name) if name in self._tools:
                yield from self._started(delta, self._tools[name])
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

    def _started(self, delta: ToolCallStarted, tool: ClientTool) -> Iterator[Delta]:
        space = {} if tool.namespace is None else {"namespace": tool.namespace}
        started = replace(delta, name=tool.name, extra={**delta.extra, **space})
        if tool.type == "custom":
            if self._speaks:
                yield ItemFinished()
            call = self._open[delta.key] = _Call.of(started)
            yield call.event("response.output_item.added", item=call.item)
        else:
            yield started
        self._speaks = False


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
            "call_id": id if id and len(id) <= _LONGEST else new_id("call"),
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
        if self.waiting.strip(" {}\t\r\n") and not cut:
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
