"""How the recorded clients' histories are read, one class per wire format: what is the model's
answer, and what its client said, as the Responses items that it would have sent to us.

What the model had said before the first recorded request comes in as deltas with a native turn:
this pair of recordings did not see it being made.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import bedrock_cases
import chat_cases
import gemini_cases
import orjson
import responses_cases
from cases import Recording

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import PARSERS, Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.deltas import (
    Delta,
    MessageStarted,
    NativeTurn,
    ReasoningDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from responses_mw.turn import Item, Turn

Entry = dict[str, Any]
"""One message, content or item of a request, as it is on the wire."""


class Format(ABC):
    """`field`: where a request holds its history."""

    name: str
    field = "messages"

    @abstractmethod
    def speaks(self, recording: Recording) -> bool: ...

    @abstractmethod
    def adapter(self, first: Recording, then: Recording) -> Adapter: ...

    def model(self, recording: Recording) -> str:
        assert recording.request
        return str(recording.request["model"])

    def answer(self, recording: Recording) -> bytes:
        return recording.body

    def deltas(self, adapter: Adapter, recording: Recording, turn: Turn) -> Iterator[Delta]:
        """The recorded answer, decoded as the transport would."""
        body = self.answer(recording)
        if not recording.streamed:
            yield from adapter.decode(body, turn)
            return
        decoder = adapter.decoder(turn)
        for event in PARSERS[adapter.framing]().feed(body):
            yield from decoder.feed(event)
        yield from decoder.close()

    def history(self, request: dict[str, Any]) -> list[Entry]:
        found: list[Entry] = request[self.field]
        return found

    def is_answer(self, entry: Entry) -> bool:
        return entry["role"] == "assistant"

    @abstractmethod
    def items(self, entries: Iterable[Entry], calls: list[str]) -> Iterator[Item]:
        """What a client said. It knows calls by our ids, which are taken from `calls`."""

    def said(self, entries: Sequence[Entry], scope: str) -> Iterator[Delta]:
        """What the model said earlier on."""
        raise NotImplementedError(f"no recorded {self.name} loop begins in the middle")


# --- chat completions


class Chat(Format):
    name = "chat completions"

    def speaks(self, recording: Recording) -> bool:
        return chat_cases.is_chat(recording) or recording.provider == "cohere"

    def adapter(self, first: Recording, then: Recording) -> Adapter:
        return chat_cases.adapter_for(first)

    def answer(self, recording: Recording) -> bytes:
        """Cohere was recorded by its own API, which has the same calls in another envelope; we ask
        it by the compatible one. Its thoughts stay behind, as with the recorded client."""
        if recording.provider != "cohere":
            return recording.body
        message = orjson.loads(recording.body)["message"]
        choice = {"message": {**message, "content": None}, "finish_reason": "tool_calls"}
        return orjson.dumps({"choices": [choice]})

    def items(self, entries: Iterable[Entry], calls: list[str]) -> Iterator[Item]:
        for message in entries:
            content = message["content"]
            if message["role"] == "tool":
                yield output_of(message["tool_call_id"], _chat_output(content), calls)
                continue
            if content:
                said = [_chat_part(part) for part in blocks(content)]
                yield {"type": "message", "role": message["role"], "content": said}
            for call in message.get("tool_calls") or ():  # clients, too, may say that one was made
                yield {"type": "function_call", "call_id": call["id"], **call["function"]}
                calls.append(call["id"])

    def said(self, entries: Sequence[Entry], scope: str) -> Iterator[Delta]:
        (message,) = entries
        if thought := message.get("reasoning_content"):
            yield ReasoningDelta(thought, raw=True)
        if content := message.get("content"):
            text = content if isinstance(content, str) else "".join(p["text"] for p in content)
            yield TextDelta(text)
        for call in message.get("tool_calls") or ():
            function = call["function"]
            yield from called(call["id"], function["name"], function["arguments"])
        if "reasoning_details" in message:
            yield NativeTurn(scope, message)
        yield Stopped()


def _chat_part(part: Entry) -> Entry:
    if part["type"] == "image_url":
        return {"type": "input_image", "image_url": part["image_url"]["url"]}
    return {"type": "input_text", "text": part["text"]}


def _chat_output(content: Any) -> str:
    if isinstance(content, str):
        return content
    (part,) = content
    return str(part["text"] if "text" in part else json.dumps(part["document"]["data"]))


# --- Messages: Claude's own


class Messages(Format):
    name = "Anthropic Messages"

    def speaks(self, recording: Recording) -> bool:
        return recording.provider == "anthropic"

    def adapter(self, first: Recording, then: Recording) -> Adapter:
        return AnthropicMessages(cache=None)

    def items(self, entries: Iterable[Entry], calls: list[str]) -> Iterator[Item]:
        for message in entries:
            for block in blocks(message["content"]):
                match block["type"]:
                    case "tool_result":
                        said = "".join(part["text"] for part in blocks(block["content"]))
                        yield output_of(block["tool_use_id"], said, calls)
                    case "text":
                        yield asking({"type": "input_text", "text": block["text"]})


class Invoked(Messages):
    name = "Bedrock InvokeModel"

    def speaks(self, recording: Recording) -> bool:
        return recording.provider == "bedrock_invoke_anthropic"

    def adapter(self, first: Recording, then: Recording) -> Adapter:
        return BedrockInvoke(messages=AnthropicMessages(name="bedrock", cache=None))

    def model(self, recording: Recording) -> str:
        return bedrock_cases.model_of(recording)


def blocks(content: Any) -> list[Entry]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


# --- Converse


class Converse(Format):
    name = "Bedrock Converse"

    def speaks(self, recording: Recording) -> bool:
        return recording.provider == "bedrock"

    def adapter(self, first: Recording, then: Recording) -> Adapter:
        return BedrockConverse(cache=None)

    def model(self, recording: Recording) -> str:
        return bedrock_cases.model_of(recording)

    def items(self, entries: Iterable[Entry], calls: list[str]) -> Iterator[Item]:
        for message in entries:
            for block in message["content"]:
                match block:
                    case {"toolResult": result}:
                        said = [_converse_part(part) for part in result["content"]]
                        yield output_of(result["toolUseId"], said, calls)
                    case {"cachePoint": _}:
                        pass
                    case _:
                        yield asking(_converse_part(block))

    def said(self, entries: Sequence[Entry], scope: str) -> Iterator[Delta]:
        for message in entries:
            for block in message["content"]:
                match block:
                    case {"toolUse": use}:
                        arguments = json.dumps(use["input"])
                        yield from called(use["toolUseId"], use["name"], arguments)
                    case {"text": text}:
                        yield TextDelta(text)
        yield Stopped()


def _converse_part(block: Entry) -> Entry:
    match block:
        case {"text": text}:
            return {"type": "input_text", "text": text}
        case {"image": {"format": format, "source": {"bytes": data}}}:
            return {"type": "input_image", "image_url": f"data:image/{format};base64,{data}"}
    raise AssertionError(block)


# --- generateContent


class GenerateContent(Format):
    name = "Gemini"
    field = "contents"

    def speaks(self, recording: Recording) -> bool:
        return recording.provider in ("gemini", "vertex_ai")

    def adapter(self, first: Recording, then: Recording) -> Adapter:
        return gemini_cases.adapter_for(first)

    def model(self, recording: Recording) -> str:
        found = re.search(r"/models/([^:/]+):", recording.url)
        assert found is not None
        return unquote(found[1])

    def answer(self, recording: Recording) -> bytes:
        return gemini_cases.body_of(recording)

    def is_answer(self, entry: Entry) -> bool:
        return bool(entry["role"] == "model")

    def items(self, entries: Iterable[Entry], calls: list[str]) -> Iterator[Item]:
        """Media that a tool gave stand behind its output; a line that says so is not the user's."""
        told: list[Item] = []
        for content in entries:
            for part in content["parts"]:
                match part:
                    case {"functionResponse": result}:
                        said = {"type": "input_text", "text": response_text(result["response"])}
                        told.append(output_of(result.get("id"), [said], calls))
                    case {"inline_data": {"mime_type": kind, "data": data}}:
                        url = f"data:{kind};base64,{data}"
                        told[-1]["output"].append({"type": "input_file", "file_data": url})
                    case {"text": text} if not told:
                        told.append(asking({"type": "input_text", "text": text}))
        yield from told

    def said(self, entries: Sequence[Entry], scope: str) -> Iterator[Delta]:
        (content,) = entries
        for part in content["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                yield from called(None, call["name"], json.dumps(call["args"]))
            elif part.get("text"):
                yield TextDelta(part["text"])
        yield NativeTurn(scope, content["parts"])
        yield Stopped()


def response_text(response: dict[str, Any]) -> str:
    if "result" in response:
        return str(response["result"])
    return "".join(part["text"] for part in response["content"])


# --- Responses

PREVIOUS = "previous_response"
"""Stands for all that the upstream itself remembers."""


class Responses(Format):
    name = "Responses"
    field = "input"

    def speaks(self, recording: Recording) -> bool:
        known = recording.provider in responses_cases.DIALECT_OF
        return known and responses_cases.is_responses(recording)

    def adapter(self, first: Recording, then: Recording) -> Adapter:
        assert then.request
        native_state = bool(then.request.get("previous_response_id"))
        return OpenAIResponses(
            dialect=responses_cases.DIALECT_OF[first.provider], native_state=native_state
        )

    def history(self, request: dict[str, Any]) -> list[Entry]:
        given = request["input"]
        told = [{"role": "user", "content": given}] if isinstance(given, str) else given
        if id := request.get("previous_response_id"):
            return [{"type": PREVIOUS, "id": id}, *told]
        return told

    def is_answer(self, entry: Entry) -> bool:
        if entry.get("type", "message") == "message":
            return bool(entry["role"] == "assistant")
        return not entry["type"].endswith("_output")

    def items(self, entries: Iterable[Entry], calls: list[str]) -> Iterator[Item]:
        for entry in entries:
            if "call_id" in entry:
                yield output_of(entry["call_id"], entry["output"], calls)
            else:
                yield entry

    def said(self, entries: Sequence[Entry], scope: str) -> Iterator[Delta]:
        for item in entries:
            match item.get("type", "message"):
                case "reasoning":
                    yield ReasoningDelta("".join(part["text"] for part in item["summary"]))
                case "function_call":
                    yield from called(item["call_id"], item["name"], item["arguments"])
                case "message":
                    yield MessageStarted(item.get("phase"))
                    yield TextDelta("".join(part["text"] for part in item["content"]))
        items = [{"type": "message", **item} for item in entries]
        yield NativeTurn(scope, {"items": items})
        yield Stopped()


# --- what they share


def asking(part: Entry) -> Item:
    return {"type": "message", "role": "user", "content": [part]}


def output_of(theirs: str | None, output: Any, calls: list[str]) -> Item:
    """Of the call that the client knows by that id, else of the next one that has none yet."""
    known = theirs if theirs in calls else calls[0]
    calls.remove(known)
    return {"type": "function_call_output", "call_id": known, "output": output}


def called(id: str | None, name: str, arguments: str) -> Iterator[Delta]:
    key = id or name
    yield ToolCallStarted(key, name, id)
    yield ToolCallDelta(key, arguments)


FORMATS: Sequence[Format] = (
    Chat(),
    Messages(),
    Invoked(),
    Converse(),
    GenerateContent(),
    Responses(),
)
