"""Reads a Converse answer, whole or streamed, as deltas.

A whole answer is taken apart into the events of a stream, so there is one reading of both. What
Responses items cannot carry (signatures, citations, hosted tools) is kept in the native turn.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from responses_mw.adapters.bedrock_blocks import (
    AnswerBlock,
    Block,
    CallBlock,
    HostedCallBlock,
    HostedResultBlock,
    ImageBlock,
    OtherBlock,
    ReasoningBlock,
    TextBlock,
)
from responses_mw.adapters.bedrock_errors import is_exception, streamed_exception
from responses_mw.adapters.content_blocks import Json, verbatim
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
    Stopped,
    StopReason,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.errors import UpstreamProtocolError, UpstreamRefused
from responses_mw.sse import ServerSentEvent

_INCOMPLETE: Mapping[str, StopReason] = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_MALFORMED = ("malformed_model_output", "malformed_tool_use")
_TIERS = {"reserved": "scale"}


class ConverseDecoder:
    """`answer_tool`: the tool that stands for the answer format, if one was forced.

    `unsigned_reasoning`: the model wants its reasoning back although nothing signs it.
    """

    def __init__(
        self, *, scope: str, answer_tool: str | None, unsigned_reasoning: bool, provider: str
    ) -> None:
        self._scope = scope
        self._answer_tool = answer_tool
        self._unsigned_reasoning = unsigned_reasoning
        self._provider = provider
        self._blocks: list[Block] = []
        self._open: dict[int, Block] = {}
        self._hosted_calls: dict[str, HostedCallBlock] = {}
        self._text_length = 0
        self._stop_reason: str | None = None
        self._ended = False

    def feed(self, event: ServerSentEvent) -> Iterator[Delta]:
        if is_exception(event.event):
            raise streamed_exception(str(event.event), event.data, provider=self._provider)
        if self._ended:
            return iter(())
        return iter(self.read(event.event, read_json(event.data, provider=self._provider)))

    def close(self) -> Iterator[Delta]:
        """The end of the message is enough; usage comes behind it, and may be missing."""
        if self._stop_reason is None:
            raise self._broken("the stream ended without messageStop")
        if self._stop_reason in _MALFORMED:
            raise UpstreamRefused(
                f"{self._provider}: the model's output could not be read ({self._stop_reason})",
                status=502,
                type="server_error",
                code="server_error",
                provider=self._provider,
            )
        return iter(self._end())

    def read(self, kind: str | None, event: Json) -> list[Delta]:
        match kind:
            case "contentBlockDelta":
                return self._grow(event["contentBlockIndex"], event["delta"])
            case "contentBlockStart":
                return self._start(event["contentBlockIndex"], event["start"])
            case "contentBlockStop":
                return self._close_block(event["contentBlockIndex"])
            case "messageStop":
                self._stop_reason = a_text(event["stopReason"])
            case "metadata":
                return self._metadata(event)
        return []  # messageStart, and whatever is new

    # --- the message

    def _metadata(self, event: Json) -> list[Delta]:
        tier = text_or_none((event.get("serviceTier") or {}).get("type"))
        router = (event.get("trace") or {}).get("promptRouter") or {}
        info = UpstreamInfo(
            model=text_or_none(router.get("invokedModelId")),
            service_tier=None if tier is None else _TIERS.get(tier, tier),
        )
        known: list[Delta] = [] if info == UpstreamInfo() else [info]
        if event.get("usage") is not None:
            known.append(_usage_reported(event["usage"]))
        if self._stop_reason is None or self._stop_reason in _MALFORMED:
            return known
        return [*known, *self._end()]

    def _end(self) -> list[Delta]:
        if self._ended:
            return []
        self._ended = True
        left = [delta for index in list(self._open) for delta in self._close_block(index)]
        native = self._native()
        stopped = Stopped(_INCOMPLETE.get(self._stop_reason or "", "stop"))
        return [*left, stopped] if native is None else [*left, native, stopped]

    def _native(self) -> NativeTurn | None:
        said = verbatim(self._blocks, cut_off=self._stop_reason in _INCOMPLETE)
        return None if said is None else NativeTurn(self._scope, whole_characters(said))

    # --- blocks

    def _start(self, index: int, start: Json) -> list[Delta]:
        if not start:
            return []  # what it is, its first delta says
        if index in self._open:
            raise self._broken(f"the stream began content block {index} twice")
        return self._open_block(index, self._block(whole_characters(start)))

    def _grow(self, index: int, delta: Json) -> list[Delta]:
        """Text and reasoning have no start: their first delta opens the block."""
        if not delta:
            return []
        kind = next(iter(delta))
        block = self._open.get(index)
        deltas: list[Delta] = []
        if block is None or (block.kinds and kind not in block.kinds):
            deltas = self._close_block(index) if block is not None else []
            block = self._opening(kind)
            deltas += self._open_block(index, block)
        return [*deltas, *block.grow(delta)]

    def _opening(self, kind: str) -> Block:
        match kind:
            case "text" | "citation":
                return TextBlock(self._text_length)
            case "reasoningContent":
                return ReasoningBlock(self._scope, unsigned=self._unsigned_reasoning)
            case "toolUse":
                raise self._broken("the stream continued a call that it had not begun")
            case _:
                return OtherBlock({})

    def _block(self, start: Json) -> Block:
        match start:
            case {"toolUse": {"type": "server_tool_use"} as call}:
                block = self._hosted_calls[call["toolUseId"]] = HostedCallBlock(call)
                return block
            case {"toolUse": {"name": name} as call} if name == self._answer_tool:
                return AnswerBlock(call, len(self._blocks))
            case {"toolUse": call}:
                return CallBlock(call, len(self._blocks))
            case {"toolResult": result}:
                return HostedResultBlock(result, self._hosted_calls.get(result["toolUseId"]))
            case {"image": image}:
                return ImageBlock(image)
            case _:
                return OtherBlock(start)

    def _open_block(self, index: int, block: Block) -> list[Delta]:
        self._blocks.append(block)
        self._open[index] = block
        deltas = block.opened()
        if self._text_length and not block.is_text:
            # What comes between two texts may leave no item: they are two messages all the same.
            self._text_length = 0
            deltas = [ItemFinished(), *deltas]
        return deltas

    def _close_block(self, index: int) -> list[Delta]:
        block = self._open.pop(index, None)
        if block is None:
            return []
        block.done = True
        deltas = block.closed()
        if block.is_text:
            self._text_length += block.length
        return deltas

    def _broken(self, message: str) -> UpstreamProtocolError:
        return UpstreamProtocolError(f"{self._provider}: {message}", provider=self._provider)


def events_of(answer: Json) -> Iterator[tuple[str, Json]]:
    """The stream that a whole answer would have been: event types and payloads."""
    message = answer["output"]["message"]
    yield "messageStart", {"role": message["role"]}
    for index, block in enumerate(message["content"]):
        start, deltas = _taken_apart(block)
        if start is not None:
            yield "contentBlockStart", {"contentBlockIndex": index, "start": start}
        for delta in deltas:
            yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": answer["stopReason"]}
    yield "metadata", answer


def _taken_apart(block: Json) -> tuple[Json | None, list[Json]]:
    match block:
        case {"text": text}:
            return None, [{"text": text}]
        case {"citationsContent": {"content": content} as cited}:
            citations = [{"citation": citation} for citation in cited.get("citations") or ()]
            return None, [*citations, *({"text": part["text"]} for part in content)]
        case {"reasoningContent": {"reasoningText": said}}:
            return None, [{"reasoningContent": said}]
        case {"reasoningContent": redacted}:
            return None, [{"reasoningContent": redacted}]
        case {"toolUse": {"input": given} as call}:
            start = {key: value for key, value in call.items() if key != "input"}
            arguments = orjson.dumps(given).decode()
            return {"toolUse": start}, [{"toolUse": {"input": arguments}}]
        case {"toolResult": {"content": content} as result}:
            start = {key: value for key, value in result.items() if key != "content"}
            return {"toolResult": start}, [{"toolResult": content}]
        case {"image": image}:
            start = {key: value for key, value in image.items() if key == "format"}
            return {"image": start}, [{"image": image}]
        case dict():
            return block, []
    raise TypeError(f"a content block is {block!r}")


def _usage_reported(usage: Mapping[str, Any]) -> UsageReported:
    """The API counts cached input apart from the rest of it, and reasoning not at all."""
    read, written = usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens")
    found = UsageReported(
        input_tokens=total(usage.get("inputTokens"), read, written),
        output_tokens=total(usage.get("outputTokens")),
        cached_tokens=total(read),
        cache_write_tokens=total(written),
    )
    details = usage.get("cacheDetails") or ()
    hours = [each.get("inputTokens") for each in details if each.get("ttl") == "1h"]
    return found.with_hours(hours[0] if hours else 0)
