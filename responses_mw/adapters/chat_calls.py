"""The tool calls of one chat answer, told apart although vendors number and name them differently.

Which piece belongs to which call is decided here; and the assistant message is put together again
for upstreams that want fields back which items cannot carry.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from responses_mw.adapters.upstream_json import text_or_none, whole_characters
from responses_mw.deltas import Delta, ToolCallDelta, ToolCallStarted
from responses_mw.errors import UpstreamProtocolError

LONGEST_CALL_ID = 64
"""Of the Responses API. A longer one is replaced there, so the upstream's own has to be kept."""


@dataclass(slots=True)
class Call:
    """`key` is its place among the calls of the answer. `id` may be empty."""

    key: int
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)


class ChatCalls:
    def __init__(self, extras: tuple[str, ...]) -> None:
        self.all: list[Call] = []
        self._by_index: dict[Any, Call] = {}
        self._extras = extras

    def piece(self, entry: Mapping[str, Any], *, whole: bool = False) -> Iterator[Delta]:
        """One entry of `tool_calls`. `whole`: it is a complete call, whatever index it bears."""
        function = entry.get("function") or {}
        call = None if whole else self._known(entry, function)
        if call is None:
            call = self._begin(entry, function)
            yield ToolCallStarted(call.key, call.name, call.id or None)
        for name in self._extras:
            if entry.get(name):
                call.extras[name] = entry[name]
        arguments = _text(function.get("arguments"))
        if arguments:
            call.arguments.append(arguments)
            yield ToolCallDelta(call.key, arguments)

    def _known(self, entry: Mapping[str, Any], function: Mapping[str, Any]) -> Call | None:
        """The call that this piece continues; None if it begins one."""
        index, id, name = entry.get("index"), entry.get("id"), function.get("name")
        if index is None:
            if id:
                return next((call for call in self.all if call.id == id), None)
            return None if name or not self.all else self.all[-1]
        call = self._by_index.get(index)
        if call is None or not name:
            return call
        # A name again: llama-cpp-python repeats it with the same id, others restart at index 0.
        return call if id and id == call.id else None

    def _begin(self, entry: Mapping[str, Any], function: Mapping[str, Any]) -> Call:
        name = text_or_none(function.get("name"))
        if name is None:
            kind = entry.get("type") or "function"
            raise UpstreamProtocolError(f"the upstream sent a tool call ({kind}) without a name")
        call = Call(len(self.all), text_or_none(entry.get("id")) or "", name)
        self.all.append(call)
        self._by_index[entry.get("index")] = call
        return call


class NativeMessage:
    """The assistant message as it was said, where something must come back that no item holds."""

    def __init__(self, calls: ChatCalls, extras: tuple[str, ...]) -> None:
        self._calls = calls
        self._names = extras
        self._extras: dict[str, Any] = {}

    def learn(self, message: Mapping[str, Any], *, whole: bool = False) -> None:
        for name in self._names:
            value = message.get(name)
            if not value:
                continue
            if isinstance(value, list) and not whole:
                _merge_pieces(self._extras.setdefault(name, []), value)
            else:
                self._extras[name] = value

    def message(self, text: str) -> dict[str, Any] | None:
        """None if items say it all."""
        calls = self._calls.all
        needed = self._extras or any(
            call.extras or len(call.id) > LONGEST_CALL_ID for call in calls
        )
        if not needed:
            return None
        message: dict[str, Any] = {"role": "assistant", "content": text or None, **self._extras}
        if calls:
            message["tool_calls"] = [_wire_call(call) for call in calls]
        whole: dict[str, Any] = whole_characters(message)
        return whole


def _wire_call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": "".join(call.arguments) or "{}"}
    return {"id": call.id, "type": "function", "function": function, **call.extras}


def _merge_pieces(details: list[dict[str, Any]], pieces: list[dict[str, Any]]) -> None:
    """`reasoning_details` are streamed: pieces of one type and index in a row are one detail."""
    for piece in pieces:
        last = details[-1] if details else None
        if last is None or not _same_detail(last, piece):
            details.append(dict(piece))
            continue
        for name, value in piece.items():
            if name in ("text", "summary", "data") and isinstance(value, str):
                last[name] = (last.get(name) or "") + value
            elif value is not None:
                last[name] = value


def _same_detail(last: Mapping[str, Any], piece: Mapping[str, Any]) -> bool:
    if piece.get("id") and last.get("id") and piece["id"] != last["id"]:
        return False
    index = piece.get("index")
    return index is not None and (last.get("type"), last.get("index")) == (piece.get("type"), index)


def _text(arguments: Any) -> str:
    """Null is no arguments; some servers send the object itself instead of its JSON."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
