"""Writes a conversation as the input of a Responses request.

Turns that the same upstream said go back as it said them; all else is written from our items, whose
ids mean nothing to it. What an upstream may be shown is decided here; parameters are not.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from responses_mw.adapters.foreign_items import as_message
from responses_mw.adapters.openai_responses_dialects import ResponsesDialect
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Item, Span

LONGEST_CALL_ID = 64
"""Of the Responses API. A longer one is replaced there, so the upstream's own has to be kept."""

_ID_PREFIXES = {
    "computer_call": "cu_",
    "local_shell_call": "lsh_",
    "program": "cm_",
    "program_output": "cmo_",
}
"""OpenAI checks what ids begin with, and wants these to have one."""

_CALLED_BY = ("caller", "namespace")
"""Who calls and whose tool it is: upstreams that know functions alone know neither."""

_PARTS = ("input_text", "input_image", "input_file")
_SAID = {
    "message": {"id", "type", "role", "status", "content", "phase"},
    "function_call": {"id", "type", "status", "call_id", "name", "arguments"},
}
"""What our items say, too; what else an item has must go back in the upstream's own form."""


def items_suffice(items: Sequence[Item]) -> bool:
    """Whether these output items lose nothing when they are written from ours."""
    return all(
        item["type"] in _SAID
        and {key for key, value in item.items() if value is not None} <= _SAID[item["type"]]
        and len(item.get("call_id") or "") <= LONGEST_CALL_ID
        for item in items
    )


def as_input(item: Item) -> Item:
    """An output item as its upstream takes it back: verbatim, without what says nothing."""
    if item["type"] not in ("message", "reasoning", "function_call"):
        return item
    kept = {key: value for key, value in item.items() if value is not None}
    if item["type"] != "message":
        kept.pop("status", None)  # some say in_progress of what is done
        return kept
    content = [
        {key: value for key, value in part.items() if value is not None}
        for part in item.get("content") or ()
    ]
    return {**kept, "content": content}


class InputWriter:
    """Appends to `dropped` what was left out."""

    def __init__(self, dialect: ResponsesDialect, dropped: list[str]) -> None:
        self._dialect = dialect
        self._dropped = dropped
        self._functions_alone = dialect.items is not None
        self._theirs: dict[str, str] = {}
        """Their ids of items and calls, by those that our clients know."""

    def learn(self, span: Span) -> None:
        """Of a span in the upstream's own form, which that has already or is about to be sent."""
        assert span.native is not None
        said: list[Item] = span.native.state["items"]
        theirs = {kind: iter([i for i in said if i["type"] == kind]) for kind in _kinds(said)}
        for item in span.items:
            their = next(theirs.get(item["type"], iter(())), None)
            if their is not None:
                for key in ("id", "call_id"):
                    if key in item and their.get(key):
                        self._theirs[item[key]] = their[key]

    def written(self, entry: Item | Span) -> Iterator[Item]:
        """Raises UnsupportedByProvider for an item or part that the upstream has no words for."""
        if isinstance(entry, Span):
            assert entry.native is not None
            self.learn(entry)
            yield from entry.native.state["items"]
            return
        match entry["type"]:
            case "message":
                yield from self._message(entry)
            case "reasoning":
                return  # of another model, or without what would prove it: nobody takes it
            case "function_call" | "custom_tool_call" if self._knows(entry):
                unsaid = ("id", "status", *(_CALLED_BY if self._functions_alone else ()))
                yield {key: entry[key] for key in entry if key not in unsaid}
            case "function_call_output" | "custom_tool_call_output" if self._knows(entry):
                yield {"type": entry["type"], **self._answer(entry), "output": self._output(entry)}
            case "custom_tool_call" if self._has("function_call"):
                arguments = json.dumps({"input": entry["input"]})
                call = {key: entry[key] for key in ("call_id", "name")}
                yield {"type": "function_call", **call, "arguments": arguments}
            case "custom_tool_call_output" if self._has("function_call_output"):
                answered = {"type": "function_call_output", **self._answer(entry)}
                yield {**answered, "output": self._output(entry)}
            case other:
                yield from self._other(other, entry)

    def _knows(self, item: Item) -> bool:
        return self._has(item["type"])

    def _has(self, kind: str) -> bool:
        return self._dialect.items is None or kind in self._dialect.items

    def _answer(self, item: Item) -> dict[str, Any]:
        """Which call is answered, and who made that call."""
        names = () if self._functions_alone else (*_CALLED_BY, "name")
        kept: dict[str, Any] = {key: item[key] for key in names if key in item}
        return {"call_id": self._theirs.get(item["call_id"], item["call_id"]), **kept}

    def _other(self, kind: str, item: Item) -> Iterator[Item]:
        if not self._knows(item):
            if f"input.{kind}" not in self._dropped:
                self._dropped.append(f"input.{kind}")
            if message := as_message(item):
                yield from self._message(message)
            return
        written = {**item}
        if str(item.get("id")).startswith("item_"):
            del written["id"]
            if kind in _ID_PREFIXES:
                written["id"] = _ID_PREFIXES[kind] + item["id"].removeprefix("item_")
        for key in ("id", "call_id", "approval_request_id"):
            if written.get(key) in self._theirs:
                written[key] = self._theirs[written[key]]
        yield written

    # --- messages

    def _message(self, item: Item) -> Iterator[Item]:
        role = item["role"]
        if role == "assistant":
            yield from self._assistant(item)
            return
        if role == "developer":
            role = self._dialect.developer_role
        content: Any = [self._part(part) for part in item["content"]]
        if len(content) == 1 and content[0]["type"] == "input_text":
            content = content[0]["text"]
        yield {"type": "message", "role": role, "content": content}

    def _assistant(self, item: Item) -> Iterator[Item]:
        """Citations stay here: they point into files and containers of whoever made them."""
        parts = [
            {"type": "refusal", "refusal": part["refusal"]}
            if part["type"] == "refusal"
            else {"type": "output_text", "text": part["text"], "annotations": []}
            for part in item["content"]
        ]
        phase = {"phase": item["phase"]} if item.get("phase") else {}
        message = {"type": "message", "role": "assistant", **phase}
        if len(parts) == 1 and parts[0]["type"] == "output_text":
            yield {**message, "content": parts[0]["text"]}
        elif parts:
            yield {**message, "id": item["id"], "status": "completed", "content": parts}

    def _output(self, item: Item) -> str | list[Any]:
        output = item["output"]
        if isinstance(output, str):
            return output
        return [self._part(part) for part in output]

    def _part(self, part: Mapping[str, Any]) -> dict[str, Any]:
        if part["type"] not in _PARTS:
            raise UnsupportedByProvider(
                f"{self._dialect.name} cannot take a part of type {part['type']!r}", param="input"
            )
        return {key: value for key, value in part.items() if value is not None}


def _kinds(items: Sequence[Item]) -> set[str]:
    return {item["type"] for item in items}
