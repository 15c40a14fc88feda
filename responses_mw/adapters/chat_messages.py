"""Writes a conversation of Responses items as chat messages.

What a message may look like and which may follow which is decided here; parameters are not.
"""

import hashlib
import json
import operator
import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from responses_mw.adapters.chat_dialects import ChatDialect
from responses_mw.adapters.chat_parts import TEXTS, Part, PartWriter
from responses_mw.adapters.foreign_items import as_message
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import CALLS, Beginning, Item, Span, Turn, Written, replay

Message = dict[str, Any]
NINE_CHARACTERS = re.compile(r"[A-Za-z0-9]{9}")
ACKNOWLEDGED = "OK."
_FORMAT = "chat completions"


def write_messages(
    turn: Turn, dialect: ChatDialect, *, scope: str, dropped: list[str]
) -> list[Message | orjson.Fragment]:
    """Raises UnsupportedByProvider for an item or a part that the format has no words for.

    Appends to `dropped` what was left out. Messages that were written for an earlier turn are one
    `orjson.Fragment`.
    """
    writer = _Writer(dialect, dropped)
    if turn.instructions:
        writer.system(turn.instructions, dialect.system_role)
    rest: Iterable[Span] = turn.spans
    if turn.beginning is not None and not dialect.alternating and turn.text_format is None:
        rest = writer.begin(turn.spans, turn.beginning)
    for entry in replay(rest, scope):
        if isinstance(entry, Span):
            writer.native(entry)
        else:
            writer.item(entry)
    return writer.finish()


class _Writer:
    """Holds the assistant message that still grows, and attachments that wait for their turn."""

    def __init__(self, dialect: ChatDialect, dropped: list[str]) -> None:
        self._dialect = dialect
        self._alternating = dialect.alternating
        self._dropped = dropped
        self._parts = PartWriter(dialect, dropped)
        self._messages: list[Message] = []
        self._before: list[Message | orjson.Fragment] = []
        """What stands before `_messages`, the last of it bytes of several plain messages."""
        self._text: str | None = None
        self._refusal = ""
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._attachments: list[dict[str, Any]] = []
        self._wire_ids: dict[str, str] = {}

    def begin(self, spans: Sequence[Span], beginning: Beginning) -> Sequence[Span]:
        """Writes the plain messages that come first, most of them as they were written for the
        last turn, up to one of the user's. Gives back the spans that are left."""
        known = beginning.written.get(_FORMAT)
        if known is None or not _begin_with(spans, known):
            known = Written((), b"")
        before, self._messages = self._messages, []
        done, count = len(known.spans), 0
        for n in range(done, min(beginning.spans, len(spans))):
            if spans[n].native is not None or not all(map(self._is_plain, spans[n].items)):
                break
            if self._text is None:
                done, count = n + 1, len(self._messages)
        if count:
            more = orjson.dumps(self._messages[:count])[1:-1]
            encoded = b"%b,%b" % (known.encoded, more) if known.encoded else more
            known = beginning.written[_FORMAT] = Written(spans[:done], encoded)
        # What was tried beyond that is written again, with what follows.
        self._messages, self._text = before, None
        if known.encoded:
            self._before, self._messages = [*before, orjson.Fragment(known.encoded)], []
        return spans[done:]

    def item(self, item: Item) -> None:
        match item["type"]:
            case "message":
                if not self._plain_message(item):
                    self._message(item)
            case "reasoning":
                self._reasoning(item)
            case "function_call":
                self._call(item)
            case "custom_tool_call":
                self._call({**item, "arguments": json.dumps({"input": item["input"]})})
            case "function_call_output" | "custom_tool_call_output":
                self._output(item)
            case other:
                if f"input.{other}" not in self._dropped:
                    self._dropped.append(f"input.{other}")
                if message := as_message(item):
                    self._message(message)

    def native(self, span: Span) -> None:
        """The message as it was said. Its calls are known to clients by the ids of the items."""
        self._end_turns()
        assert span.native is not None
        message = dict(span.native.state)
        ids = [item["call_id"] for item in span.items if item["type"] in CALLS]
        calls = message.get("tool_calls") or []
        for known, call in zip(ids, calls, strict=False):
            self._wire_ids[known] = call["id"] or self._wire_id(known)
        if calls:
            message["content"] = message["content"] or self._dialect.empty_content
            message["tool_calls"] = [
                call if call["id"] else {**call, "id": self._wire_id(known)}
                for known, call in zip(ids, calls, strict=False)
            ]
        self._append(message)

    def system(self, text: str, role: str) -> None:
        self._end_turns()
        if self._dialect.system_anywhere:
            self._append({"role": role, "content": text})
        elif not self._before and all(message["role"] == role for message in self._messages):
            self._merge_or_append({"role": role, "content": text})
        else:
            self._append({"role": "user", "content": f"<system>\n{text}\n</system>"})

    def finish(self) -> list[Message | orjson.Fragment]:
        self._end_turns()
        return [*self._before, *self._messages]

    # --- items

    def _is_plain(self, item: Item) -> bool:
        return item["type"] == "message" and self._plain_message(item)

    def _plain_message(self, item: Item) -> bool:
        """What `_message` does with most messages of most conversations, in a third of the time;
        False for all others."""
        content = item["content"]
        if self._alternating or len(content) != 1 or content[0]["type"] not in TEXTS:
            return False
        if self._attachments or self._calls or self._refusal or self._thoughts:
            return False
        text: str = content[0]["text"]
        if item["role"] == "assistant":
            if self._text is not None or not text:
                return False
            self._text = text
            return True
        if item["role"] != "user":
            return False
        if self._text is not None:
            if not self._text:
                return False
            self._messages.append({"role": "assistant", "content": self._text})
            self._text = None
        elif self._messages and self._messages[-1]["role"] == "tool":
            return False
        self._messages.append({"role": "user", "content": text})
        return True

    def _message(self, item: Item) -> None:
        role = item["role"]
        match role:
            case "assistant":
                self._say(item["content"])
            case "user":
                self._end_turns()
                self._append({"role": "user", "content": self._parts.user_content(item["content"])})
            case "system" | "developer":
                texts = [self._parts.only_text(part, role) for part in item["content"]]
                known = self._dialect
                wire_role = known.system_role if role == "system" else known.developer_role
                self.system("\n\n".join(texts), wire_role)
            case other:
                raise UnsupportedByProvider(
                    f"{self._dialect.name} cannot take a message of role {other!r}", param="input"
                )

    def _say(self, content: Iterable[Part]) -> None:
        if self._text is not None and not self._calls:
            self._end_assistant()
        self._end_attachments()
        text = ""
        for part in content:
            match part["type"]:
                case "output_text" | "input_text" | "text":
                    text += part["text"]
                case "refusal" if self._dialect.refusal_field:
                    self._refusal += part["refusal"]
                case "refusal":
                    text += part["refusal"]
                case other:
                    raise self._parts.unknown_part(other, "assistant")
        # Words after a call cannot be a message of their own: its output has to follow the call.
        self._text = text if self._text is None else f"{self._text}\n\n{text}"

    def _reasoning(self, item: Item) -> None:
        if self._dialect.reasoning_replay is None:
            return
        if self._text is not None and not self._calls:
            self._end_assistant()
        self._end_attachments()
        parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
        text = "\n\n".join(part["text"] for part in parts if part.get("text"))
        if text:
            self._thoughts.append(text)

    def _call(self, item: Item) -> None:
        self._end_attachments()
        function = {"name": item["name"], "arguments": item["arguments"] or "{}"}
        self._calls.append(
            {"id": self._wire_id(item["call_id"]), "type": "function", "function": function}
        )

    def _output(self, item: Item) -> None:
        self._end_assistant()
        output = item["output"]
        if not isinstance(output, str):
            output = self._output_text(output, item["call_id"])
        call_id = self._wire_id(item["call_id"])
        message = {"role": "tool", "tool_call_id": call_id, "content": output}
        self._messages.insert(self._place_after_call(call_id), message)

    def _place_after_call(self, call_id: str) -> int:
        """Outputs have to follow their call at once; clients may have said something in between."""
        end = len(self._messages)
        for index in range(end - 1, -1, -1):
            calls = self._messages[index].get("tool_calls") or ()
            if any(call["id"] == call_id for call in calls):
                place = index + 1
                while place < end and self._messages[place]["role"] == "tool":
                    place += 1
                return place
        return end

    def _output_text(self, parts: Iterable[Part], call_id: str) -> str:
        """A tool message takes text only: the rest follows as the user's, after the last one."""
        texts: list[str] = []
        attached: list[dict[str, Any]] = []
        for part in parts:
            if part["type"] in ("input_text", "output_text", "text"):
                texts.append(part["text"])
            else:
                attached.append(self._parts.user_part(part))
        if attached:
            name = self._wire_id(call_id)
            label = {"type": "text", "text": f"Attached to the output of tool call {name}:"}
            self._attachments += [label, *attached]
            texts = texts or ["The output is attached to the next user message."]
        return "\n".join(texts)

    # --- messages

    def _end_turns(self) -> None:
        self._end_assistant()
        self._end_attachments()

    def _end_attachments(self) -> None:
        if self._attachments:
            attachments, self._attachments = self._attachments, []
            self._append({"role": "user", "content": attachments})

    def _end_assistant(self) -> None:
        if self._text is None and not self._calls and not self._refusal:
            self._thoughts = []  # reasoning alone says nothing that anyone could answer to
            return
        message: Message = {"role": "assistant", "content": self._text or ""}
        if not self._text and self._calls:
            message["content"] = self._dialect.empty_content
        elif not self._text and self._refusal:
            message["content"] = None
        if self._refusal:
            message["refusal"] = self._refusal
        if self._calls:
            message["tool_calls"] = self._calls
        self._add_thoughts(message)
        self._text, self._refusal, self._thoughts, self._calls = None, "", [], []
        self._append(message)

    def _add_thoughts(self, message: Message) -> None:
        field = self._dialect.reasoning_replay
        text = "\n\n".join(self._thoughts)
        if field is None or not (text or (self._dialect.empty_reasoning and self._calls)):
            return
        if field != "content":
            message[field] = text
            return
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
        said = [{"type": "text", "text": self._text}] if self._text else []
        message["content"] = [thinking, *said]

    def _append(self, message: Message) -> None:
        last = self._messages[-1] if self._messages else None
        if last is None:
            self._messages.append(message)
            return
        roles = (last["role"], message["role"])
        if roles == ("tool", "user") and not self._dialect.user_after_tool:
            self._messages.append({"role": "assistant", "content": ACKNOWLEDGED})
        if self._dialect.alternating and message["role"] in ("user", "assistant"):
            self._merge_or_append(message)
        else:
            self._messages.append(message)

    def _merge_or_append(self, message: Message) -> None:
        last = self._messages[-1] if self._messages else None
        if last is None or last["role"] != message["role"] or "tool_calls" in last:
            self._messages.append(message)
            return
        self._messages[-1] = {**last, **message, "content": _joined(last, message)}

    def _wire_id(self, call_id: str) -> str:
        known = self._wire_ids.get(call_id)
        if known is None:
            known = _nine_characters(call_id) if self._dialect.nine_character_ids else call_id
            self._wire_ids[call_id] = known
        return known


def _joined(first: Message, second: Message) -> str | list[dict[str, Any]]:
    one, two = first["content"], second["content"]
    if isinstance(one, str) and isinstance(two, str):
        return f"{one}\n\n{two}"
    return [*_as_parts(one), *_as_parts(two)]


def _as_parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _nine_characters(call_id: str) -> str:
    """The id itself where it has the form; else a digest of it, the same in every turn."""
    if NINE_CHARACTERS.fullmatch(call_id):
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:9]


def _begin_with(spans: Sequence[Span], known: Written) -> bool:
    """The very same spans: a hook may have put others in their place."""
    return len(known.spans) <= len(spans) and all(map(operator.is_, known.spans, spans))
