"""Claude through Bedrock's InvokeModel: the Messages API in AWS's wrapping.

For what Converse cannot say (betas). What is said is the Messages adapter's business;
only the wrapping stands here: path, version, betas and tier on the way out, frames on the way back.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.anthropic_decode import MessagesDecoder
from responses_mw.adapters.base import Framing, UpstreamRequest
from responses_mw.adapters.bedrock_encode import TIERS, Guardrail, model_path
from responses_mw.adapters.bedrock_errors import http_error, is_exception, streamed_exception
from responses_mw.adapters.upstream_json import read_count, read_json
from responses_mw.deltas import Delta
from responses_mw.errors import UnsupportedByProvider, UpstreamError, UpstreamProtocolError
from responses_mw.sse import ServerSentEvent
from responses_mw.turn import Turn

_IN_THE_PATH = ("model", "stream")


def _claude() -> AnthropicMessages:
    return AnthropicMessages(name="bedrock", server_tools=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class BedrockInvoke:
    """`messages` holds the options of the format itself; its `api_version` is not sent.

    `version` is the one that Bedrock wants in the body.
    """

    name: str = "bedrock"
    framing: Framing = "eventstream"
    messages: AnthropicMessages = field(default_factory=_claude)
    version: str = "bedrock-2023-05-31"
    guardrail: Guardrail | None = None
    latency: Literal["standard", "optimized"] | None = None

    def scope(self, turn: Turn) -> str:
        """The Messages API's own: signatures hold on every platform that serves the model."""
        return self.messages.scope(turn)

    def encode(self, turn: Turn) -> UpstreamRequest:
        # A tier is a header here, and there are more of them than the Messages API knows.
        request = self.messages.encode(replace(turn, service_tier=None))
        headers = dict(request.headers)
        headers.pop("anthropic-version", None)
        betas = [name for name in headers.pop("anthropic-beta", "").split(",") if name]
        body = {k: v for k, v in request.body.items() if k not in _IN_THE_PATH}
        _check_sources(body["messages"])
        body["anthropic_version"] = self.version
        if betas:
            body["anthropic_beta"] = betas
        operation = "invoke-with-response-stream" if turn.stream else "invoke"
        path = model_path(turn.model, operation)
        dropped = (*request.dropped, *_unknown_tier(turn))
        return UpstreamRequest(path, body, {**self._options(turn), **headers}, dropped)

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        return self.messages.decode(body, turn)

    def decoder(self, turn: Turn) -> "InvokeDecoder":
        return InvokeDecoder(self.messages.decoder(turn), provider=self.name)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return http_error(status, headers, body, provider=self.name)

    # What follows an answer or a refusal differs from `request` in its messages alone.

    def read_whole(self, body: bytes, decoder: "InvokeDecoder") -> Iterator[Delta]:
        return self.messages.read_whole(body, decoder.messages)

    def continued(
        self, request: UpstreamRequest, decoder: "InvokeDecoder"
    ) -> UpstreamRequest | None:
        return self.messages.continued(request, decoder.messages)

    def revised(
        self, turn: Turn, request: UpstreamRequest, error: UpstreamError
    ) -> UpstreamRequest | None:
        return self.messages.revised(turn, request, error)

    def count(self, turn: Turn) -> UpstreamRequest:
        request = self.encode(turn)
        said = base64.b64encode(orjson.dumps(request.body)).decode()
        body = {"input": {"invokeModel": {"body": said}}}
        return UpstreamRequest(model_path(turn.model, "count-tokens"), body)

    def counted(self, body: bytes) -> int:
        return read_count(body, "inputTokens", provider=self.name)

    def _options(self, turn: Turn) -> dict[str, str]:
        guard = self.guardrail
        options = {
            "x-amzn-bedrock-service-tier": TIERS.get(turn.service_tier or ""),
            "x-amzn-bedrock-guardrailidentifier": guard and guard.id,
            "x-amzn-bedrock-guardrailversion": guard and guard.version,
            "x-amzn-bedrock-trace": guard and guard.trace and guard.trace.upper(),
            "x-amzn-bedrock-performanceconfig-latency": self.latency,
        }
        return {name: value for name, value in options.items() if value}


class InvokeDecoder:
    """Unwraps the events of the Messages API."""

    def __init__(self, messages: MessagesDecoder, *, provider: str) -> None:
        self.messages = messages
        self._provider = provider

    def feed(self, event: ServerSentEvent) -> Iterator[Delta]:
        if is_exception(event.event):
            raise streamed_exception(str(event.event), event.data, provider=self._provider)
        if event.event != "chunk":
            return iter(())
        chunk = read_json(event.data, provider=self._provider)
        try:
            inner = base64.b64decode(chunk["bytes"])
        except (KeyError, TypeError, binascii.Error) as error:
            raise UpstreamProtocolError(
                f"{self._provider}: a chunk of the stream is malformed: {error!r}",
                provider=self._provider,
            ) from error
        return self.messages.feed(ServerSentEvent(None, inner))

    def close(self) -> Iterator[Delta]:
        return self.messages.close()


def _unknown_tier(turn: Turn) -> list[str]:
    if turn.service_tier in (None, "auto", *TIERS):
        return []
    if turn.strict:
        raise UnsupportedByProvider(
            f"Bedrock has no {turn.service_tier!r} tier", param="service_tier"
        )
    return ["service_tier"]


def _check_sources(messages: Sequence[Mapping[str, Any]]) -> None:
    """Bedrock fetches nothing and knows no uploaded files."""
    for block in _blocks(block for message in messages for block in message["content"]):
        source = block.get("source")
        kind = source.get("type") if isinstance(source, Mapping) else None
        if kind in ("url", "file"):
            raise UnsupportedByProvider(
                f"Bedrock cannot take an {block['type']} by {kind}; send the content itself",
                param="input",
            )


def _blocks(blocks: Any) -> Iterator[Mapping[str, Any]]:
    for block in blocks:
        yield block
        if block["type"] == "tool_result" and isinstance(block.get("content"), list):
            yield from block["content"]
