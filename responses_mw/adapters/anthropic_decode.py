"""Reads a Messages answer, whole or streamed, as deltas.

A whole answer is taken apart into the events of a stream, so there is one reading of both. What
Responses items cannot carry (signatures, citations, server tools) is kept in the native turn.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from responses_mw.adapters.anthropic_blocks import (
    AnswerBlock,
    CallBlock,
    OtherBlock,
    TextBlock,
    ThinkingBlock,
)
from responses_mw.adapters.anthropic_hosted import CALLS, hosted_item
from responses_mw.adapters.content_blocks import Block, Json, verbatim
from responses_mw.adapters.repeats import Repeats
from responses_mw.adapters.upstream_errors import streamed_error
from responses_mw.adapters.upstream_json import (
    a_text,
    read_json,
    text_or_none,
    total,
    whole_characters,
)
from responses_mw.deltas import (
    Delta,
    ItemFinished,
    NativeTurn,
    OutputItem,
    Stopped,
    StopReason,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.errors import UpstreamProtocolError
from responses_mw.sse import ServerSentEvent

PAUSED = "pause_turn"
MAX_PAUSES = 8
"""After as many, an answer counts as cut off: each costs as much as a turn."""
_INCOMPLETE: Mapping[str, StopReason] = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
    # The model would go on if it were asked to once more: what is here is not all of the answer.
    PAUSED: "max_output_tokens",
}
_TIERS = {"standard": "default", "batch": "default"}


class MessagesDecoder:
    """`answer_tool`: the tool that stands for the answer format, if one was forced. `sources`:
    whether the pages that a search found are to be shown."""

    def __init__(
        self, *, scope: str, answer_tool: str | None, provider: str, sources: bool = False
    ) -> None:
        self._scope = scope
        self._answer_tool = answer_tool
        self._provider = provider
        self._sources = sources
        self._blocks: dict[int, Block] = {}
        self._server_calls: dict[str, Json] = {}
        self._text_length = 0
        self._usage: Json = {}
        self._reported: UsageReported | None = None
        self._stop_reason: str | None = None
        self.container: str | None = None
        """Where code that Anthropic ran for this answer keeps its files."""
        self._started = False
        self._stopped = False
        self._first = 0
        """Of this message's blocks, where an answer that paused is said in several messages."""
        self._before: UsageReported | None = None
        self._pauses = 0
        self.repeats = Repeats(b"text", _plain_text)
        self._repeated = 0

    def feed(self, event: ServerSentEvent) -> Iterator[Delta]:
        if self._stopped:
            return iter(())
        parsed = read_json(event.data, provider=self._provider)
        deltas = self.read(parsed)
        if self.repeats.learn(event, parsed):
            self._repeated = self._first + parsed["index"]
        return iter(deltas)

    def again(self, texts: list[str]) -> list[Delta]:
        """What as many text deltas of the block that was learned say."""
        if self._stopped:
            return []
        block = self._blocks[self._repeated]
        if isinstance(block, TextBlock):
            return block.run(texts)
        pieces = ({"type": "text_delta", "text": text} for text in texts)
        return [delta for piece in pieces for delta in block.grow(piece)]

    def close(self) -> Iterator[Delta]:
        if not self._stopped:
            raise self._broken("the stream ended without message_stop")
        if self._stop_reason != PAUSED:
            return iter(())
        return iter(self._end())

    def go_on(self) -> list[Json] | None:
        """What was said before a pause, for the API to go on from; None if there is no pause."""
        blocks = list(self._blocks.values())
        if self._stop_reason != PAUSED or self._pauses == MAX_PAUSES:
            return None
        if not all(block.faithful and block.whole for block in blocks):
            return None
        self._pauses += 1
        self._started = self._stopped = False
        self._stop_reason = None
        self._first = len(blocks)
        self._before, self._usage = self._reported, {}
        self.repeats = Repeats(b"text", _plain_text)  # blocks are numbered from 0 again
        said = [block.verbatim() for block in blocks]
        return [block for block in said if block.get("text") != ""]

    def read(self, event: Json) -> list[Delta]:
        match event["type"]:
            case "content_block_delta":
                return self._blocks[self._first + event["index"]].grow(event["delta"])
            case "content_block_start":
                return self._open(self._first + event["index"], event["content_block"])
            case "content_block_stop":
                return self._close_block(self._blocks[self._first + event["index"]])
            case "message_start":
                return self._start(event["message"])
            case "message_delta":
                self._stop_reason = text_or_none(event["delta"].get("stop_reason"))
                self._note_container(event["delta"])
                return self._report(event.get("usage"))
            case "message_stop":
                return self._stop()
            case "error":
                raise streamed_error(event, provider=self._provider)
        return []  # pings, and whatever is new

    # --- the message

    def _start(self, message: Json) -> list[Delta]:
        if len(self._blocks) > self._first:
            raise self._broken("the stream began a second message in the middle of the first")
        self._started = True
        self._note_container(message)
        usage = message.get("usage") or {}
        tier = text_or_none(usage.get("service_tier"))
        info = UpstreamInfo(
            model=text_or_none(message.get("model")),
            service_tier=None if tier is None else _TIERS.get(tier, tier),
            upstream_id=text_or_none(message.get("id")),
        )
        return [info, *self._report(usage)]

    def _note_container(self, told: Json) -> None:
        container = told.get("container") or {}
        self.container = text_or_none(container.get("id")) or self.container

    def _report(self, usage: Json | None) -> list[Delta]:
        """Counts are totals so far; one that is absent keeps its value."""
        self._usage.update({key: n for key, n in (usage or {}).items() if n is not None})
        report = _usage_reported(self._usage)
        if self._before is not None and self._before.countable and report.countable:
            report = self._before.plus(report)
        elif self._before is not None:
            report = UsageReported(-1, -1)  # what one of them used is not known
        if report == self._reported:
            return []
        self._reported = report
        return [report]

    def _stop(self) -> list[Delta]:
        if not self._started:
            raise self._broken("the stream ended before it began a message")
        self._stopped = True
        return [] if self._stop_reason == PAUSED else self._end()

    def _end(self) -> list[Delta]:
        native = self._native()
        stopped = Stopped(_INCOMPLETE.get(self._stop_reason or "", "stop"))
        return [stopped] if native is None else [native, stopped]

    def _native(self) -> NativeTurn | None:
        if self._stop_reason == PAUSED:
            return None
        blocks = list(self._blocks.values())
        said = verbatim(blocks, cut_off=self._stop_reason in _INCOMPLETE)
        return None if said is None else NativeTurn(self._scope, said)

    # --- blocks

    def _open(self, index: int, start: Json) -> list[Delta]:
        if index in self._blocks:
            raise self._broken(f"the stream began content block {index} twice")
        start = whole_characters(start)
        block = self._blocks[index] = self._block(index, start)
        deltas = block.opened()
        if start["type"] == "fallback":
            deltas = [UpstreamInfo(model=a_text(start["to"]["model"])), *deltas]
        if self._text_length and not block.is_text:
            # What comes between two texts may leave no item: they are two messages all the same.
            self._text_length = 0
            deltas = [ItemFinished(), *deltas]
        return deltas

    def _block(self, index: int, start: Json) -> Block:
        match start["type"]:
            case "text":
                return TextBlock(start, self._text_length)
            case "thinking" | "redacted_thinking":
                return ThinkingBlock(start, self._scope)
            case "tool_use" if start["name"] == self._answer_tool:
                return AnswerBlock(start, index)
            case "tool_use":
                return CallBlock(start, index)
            case _:
                return OtherBlock(start)

    def _close_block(self, block: Block) -> list[Delta]:
        if block.done:
            return []
        block.done = True
        deltas = block.closed()
        if block.is_text:
            self._text_length += block.length
        elif isinstance(block, OtherBlock):
            deltas += self._server_tool(block)
        return deltas

    def _server_tool(self, block: OtherBlock) -> list[Delta]:
        """A call is shown when its result is there."""
        kind = block.start["type"]
        if kind in CALLS:
            self._server_calls[block.start["id"]] = block.verbatim()
        elif kind.endswith("_tool_result"):
            call = self._server_calls.get(block.start["tool_use_id"])
            found = block.start
            item = None if call is None else hosted_item(call, found, sources=self._sources)
            return [] if item is None else [OutputItem(item)]
        return []

    def _broken(self, message: str) -> UpstreamProtocolError:
        return UpstreamProtocolError(f"{self._provider}: {message}", provider=self._provider)


def _plain_text(event: Any) -> str | None:
    if event.get("type") != "content_block_delta" or type(event.get("index")) is not int:
        return None
    delta = event["delta"]
    text = delta.get("text") if delta.get("type") == "text_delta" else None
    return text if isinstance(text, str) else None


def events_of(message: Json) -> Iterator[Json]:
    """The stream that a whole answer would have been."""
    yield {"type": "message_start", "message": {**message, "content": [], "container": None}}
    for index, block in enumerate(message["content"]):
        start, deltas = _taken_apart(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {key: message.get(key) for key in ("stop_reason", "container")}
    yield {"type": "message_delta", "delta": end, "usage": message.get("usage")}
    yield {"type": "message_stop"}


def _taken_apart(block: Json) -> tuple[Json, list[Json]]:
    match block["type"]:
        case "text":
            start = {**block, "text": ""}
            return start, [{"type": "text_delta", "text": block["text"]}]
        case "thinking":
            start = {**block, "thinking": ""}
            return start, [{"type": "thinking_delta", "thinking": block["thinking"]}]
        case "tool_use" | "server_tool_use" | "mcp_tool_use" if block["input"]:
            arguments = orjson.dumps(block["input"]).decode()
            start = {**block, "input": {}}
            return start, [{"type": "input_json_delta", "partial_json": arguments}]
        case _:
            return block, []


def _usage_reported(usage: Mapping[str, Any]) -> UsageReported:
    """The API counts cached input apart from the rest of it."""
    read = usage.get("cache_read_input_tokens")
    written = usage.get("cache_creation_input_tokens")
    details = usage.get("output_tokens_details") or {}
    found = UsageReported(
        input_tokens=total(usage.get("input_tokens"), read, written),
        output_tokens=total(usage.get("output_tokens")),
        cached_tokens=total(read),
        cache_write_tokens=total(written),
        reasoning_tokens=total(details.get("thinking_tokens")),
    )
    return found.with_hours((usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens"))
