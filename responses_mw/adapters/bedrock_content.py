"""Builds the messages of a Converse request: items and native turns in, blocks out.

Everything about the order and shape of messages stands here; everything else that a request says is
in `bedrock_encode.py`. Nothing that comes in is modified.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from responses_mw.adapters.bedrock_media import Block, Media
from responses_mw.adapters.bedrock_models import FamilyRules
from responses_mw.adapters.pieces import AlternatingPieces, LeaveOut, as_system, merged
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Item, Span, Turn

Message = dict[str, Any]

BEGINNING = "(The conversation begins.)"
ACKNOWLEDGED = "OK."
ATTACHED = "(See what is attached.)"
NO_OUTPUT = "(no output)"
"""Words for places that the API wants filled: before an assistant that spoke first, between results
and what may not stand beside them, beside a document, and for a result that says nothing."""

_NOT_IN_TOOL_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class Conversation(AlternatingPieces):
    """`system` and `messages` in the API's order: roles alternate, results follow their calls.

    `called`: the names of the functions that the history calls, in order.
    """

    API = "the Converse API"

    def __init__(self, rules: FamilyRules, leave_out: LeaveOut) -> None:
        super().__init__(leave_out)
        self.system: list[str] = []
        self.called: dict[str, None] = {}
        self._rules = rules
        self._media = Media()

    def finish(self) -> None:
        """Brings the whole into the order that the model's family wants."""
        for message in self.messages:
            if message["role"] == "assistant":
                _strip_trailing_reasoning(message["content"])
        self.messages = merged([m for m in self.messages if m["content"]])
        self._place_system()
        if self.messages and self._rules.user_first and self.messages[0]["role"] != "user":
            self.messages.insert(0, _message("user", _text(BEGINNING)))
        self.messages = [part for message in self.messages for part in self._parted(message)]
        for message in self.messages:
            if "document" in _kinds(message["content"]) and "text" not in _kinds(
                message["content"]
            ):
                message["content"].append(_text(ATTACHED))
        if self.messages and self.messages[-1]["role"] == "assistant" and not self._ends_native:
            _strip_trailing_space(self.messages[-1]["content"])

    @property
    def loop_lacks_reasoning(self) -> bool:
        return loop_lacks_reasoning(self.messages)

    # --- pieces

    def _add_native(self, span: Span) -> None:
        assert span.native is not None
        blocks = [block for block in span.native.state if block.get("text") != ""]
        content = self._message("assistant")["content"]
        content.extend(blocks)
        for call in (block["toolUse"] for block in blocks if "toolUse" in block):
            self._calls[call["toolUseId"]] = (len(self.messages) - 1, call["toolUseId"])
            self._ids.add(call["toolUseId"])
            if call.get("type") != "server_tool_use":
                self.called[call["name"]] = None

    def _add_message(self, item: Item) -> None:
        role = item["role"]
        blocks = [self._block(part, role) for part in item["content"]]
        said = [block for block in blocks if block is not None]
        if role in ("user", "assistant"):
            self._append(role, said)
            return
        texts = [block["text"] for block in said]
        if self.messages:
            self._append("user", [_text(as_system(text)) for text in texts])
        else:
            self.system.extend(texts)

    def _add_call(self, item: Item, arguments: Mapping[str, Any]) -> None:
        call_id, name = item["call_id"], _NOT_IN_TOOL_NAMES.sub("_", item["name"])[:64]
        id = self._free_id(call_id)
        self._append(
            "assistant", [{"toolUse": {"toolUseId": id, "name": name, "input": arguments}}]
        )
        self._calls[call_id] = (len(self.messages) - 1, id)
        self.called[name] = None

    def _add_result(self, item: Item) -> None:
        """Results stand at the head of the one user message right behind their calls."""
        place, id = self._calls.get(item["call_id"], (len(self.messages) - 1, item["call_id"]))
        inside, beside = self._output(item["output"])
        result = {"toolResult": {"toolUseId": id, "content": inside}}
        if place + 1 >= len(self.messages):
            self._append("user", [result])
            place = len(self.messages) - 2
        else:
            content = self.messages[place + 1]["content"]
            content.insert(sum("toolResult" in block for block in content), result)
        self.messages[place + 1]["content"].extend(beside)

    def _output(self, output: str | Sequence[Mapping[str, Any]]) -> tuple[list[Block], list[Block]]:
        """What goes into the result, and what has to stand beside it."""
        parts = [{"type": "input_text", "text": output}] if isinstance(output, str) else output
        blocks = [block for part in parts if (block := self._block(part, "user")) is not None]
        inside: list[Block] = []
        beside: list[Block] = []
        for block in blocks:
            kind = next(iter(block))
            known = kind == "text" or kind in self._rules.result_media
            (inside if known else beside).append(block)
        if not inside:
            inside = [_text(ATTACHED if beside else NO_OUTPUT)]
        if self._rules.json_results:
            inside = [_as_json(block) for block in inside]
        return inside, beside

    # --- parts

    def _block(self, part: Mapping[str, Any], role: str) -> Block | None:
        match part["type"]:
            case "input_text" | "output_text" | "text":
                return _text(part["text"]) if part["text"].strip() else None
            case "refusal":
                return _text(part["refusal"]) if part["refusal"].strip() else None
            case "input_image" if role == "user":
                if part.get("detail") not in (None, "auto"):
                    self._leave_out("input_image.detail", "Bedrock chooses the detail of an image")
                return self._media.image(part)
            case "input_file" if role == "user":
                return self._media.file(part)
            case "input_audio" if role == "user":
                return self._media.audio(part)
            case other:
                raise UnsupportedByProvider(
                    f"the Converse API cannot take a {other!r} part in a {role} message",
                    param="input",
                )

    # --- messages

    def _place_system(self) -> None:
        """A conversation needs a message; and not every model has a system prompt."""
        if self.system and not self.messages:
            self.messages = [_message("user", _text(as_system(self.system.pop())))]
        if self.system and not self._rules.system:
            texts = [_text(as_system(text)) for text in self.system]
            self.system = []
            self.messages = merged([_message("user", *texts), *self.messages])

    def _parted(self, message: Message) -> list[Message]:
        """Results and what may not stand beside them are two messages, with a word between."""
        content = message["content"]
        results = [block for block in content if "toolResult" in block]
        others = [block for block in content if "toolResult" not in block]
        allowed = self._rules.beside_results
        together = allowed is None or _kinds(others) <= allowed
        if message["role"] != "user" or not results or together:
            return [message]
        return [
            _message("user", *results),
            _message("assistant", _text(ACKNOWLEDGED)),
            _message("user", *others),
        ]


def conversation(turn: Turn, scope: str, rules: FamilyRules, leave_out: LeaveOut) -> Conversation:
    built = Conversation(rules, leave_out)
    if turn.instructions and turn.instructions.strip():
        built.system.append(turn.instructions)
    for piece in turn.replay(scope):
        built.add(piece)
    built.finish()
    return built


def without_reasoning(messages: Sequence[Message]) -> list[Message]:
    bare = [
        {**message, "content": [b for b in message["content"] if "reasoningContent" not in b]}
        for message in messages
    ]
    return merged([message for message in bare if message["content"]])


def loop_lacks_reasoning(messages: Sequence[Message]) -> bool:
    """Tool results go back to a call that no reasoning led to: it was another model's."""
    if len(messages) < 2 or "toolResult" not in messages[-1]["content"][0]:
        return False
    return "reasoningContent" not in messages[-2]["content"][0]


def _message(role: str, *blocks: Block) -> Message:
    return {"role": role, "content": list(blocks)}


def _text(text: str) -> Block:
    return {"text": text}


def _as_json(block: Block) -> Block:
    """The text as the object that it is, or else in one."""
    if "text" not in block:
        return block
    try:
        value = orjson.loads(block["text"])
    except orjson.JSONDecodeError:
        value = None
    return {"json": value if isinstance(value, dict) else {"result": block["text"]}}


def _kinds(content: Sequence[Block]) -> set[str]:
    return {kind for block in content for kind in block}


def _strip_trailing_reasoning(content: list[Block]) -> None:
    while content and "reasoningContent" in content[-1]:
        content.pop()


def _strip_trailing_space(content: list[Block]) -> None:
    if "text" in content[-1]:
        content[-1] = _text(content[-1]["text"].rstrip())
