"""The Anthropic Messages API: Claude, and servers that speak its format.

Only the choice of options and the four methods of an adapter stand here; each is done in a file of
its own (`anthropic_encode.py`, `anthropic_decode.py`, `upstream_errors.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from responses_mw.adapters.anthropic_answers import answer_format
from responses_mw.adapters.anthropic_content import loop_lacks_thinking, without_thinking
from responses_mw.adapters.anthropic_decode import MessagesDecoder, events_of
from responses_mw.adapters.anthropic_encode import EncodeOptions, encode
from responses_mw.adapters.anthropic_hosted import SOURCES
from responses_mw.adapters.anthropic_models import ModelRules, rules_for, scope_of
from responses_mw.adapters.anthropic_options import REFUSED_THINKING
from responses_mw.adapters.base import Framing, UpstreamRequest
from responses_mw.adapters.upstream_errors import streamed_error, upstream_error
from responses_mw.adapters.upstream_json import read_count, read_json
from responses_mw.deltas import Delta
from responses_mw.errors import UpstreamError, UpstreamProtocolError
from responses_mw.turn import Turn

_COUNTED = {
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config",
    "mcp_servers",
}  # fmt: skip
"""What counting takes of a request's fields; it refuses the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicMessages:
    """The base URL is the API's root, without `/v1`.

    `api_version`: from 2026-10-21 on the API takes no sampling parameters at all. `max_tokens` is
    asked for when the client sets no limit (None: the model's default). `cache` is how long prompts
    stay in the API's cache (None: no caching). `server_tools` are those that the platform runs
    (None: all of web_search, code_execution and mcp). `rules` replace what the model's name says.
    """

    name: str = "anthropic"
    framing: Framing = "sse"
    api_version: str = "2023-06-01"
    max_tokens: int | None = None
    cache: Literal["5m", "1h"] | None = "5m"
    betas: Sequence[str] = ()
    server_tools: frozenset[str] | None = None
    rules: ModelRules | None = None

    def scope(self, turn: Turn) -> str:
        return scope_of(turn)

    def encode(self, turn: Turn) -> UpstreamRequest:
        options = EncodeOptions(
            api_version=self.api_version,
            max_tokens=self.max_tokens,
            cache=self.cache,
            betas=self.betas,
            server_tools=self.server_tools,
        )
        return encode(turn, self._rules(turn), options)

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        decoder = self.decoder(turn)
        yield from self.read_whole(body, decoder)
        yield from decoder.close()

    def read_whole(self, body: bytes, decoder: MessagesDecoder) -> Iterator[Delta]:
        message = read_json(body, provider=self.name)
        if not isinstance(message, dict) or not isinstance(message.get("content"), list):
            if isinstance(message, dict) and message.get("type") == "error":
                raise streamed_error(message, provider=self.name)
            raise UpstreamProtocolError(
                f"{self.name} answered with something other than a message", provider=self.name
            )
        for event in list(events_of(message)):
            yield from decoder.read(event)

    def continued(
        self, request: UpstreamRequest, decoder: MessagesDecoder
    ) -> UpstreamRequest | None:
        """The same request, with what was said so far as the assistant's own message."""
        said = decoder.go_on()
        if said is None:
            return None
        messages = [*request.body["messages"], {"role": "assistant", "content": said}]
        body = {**request.body, "messages": messages}
        if decoder.container is not None:
            body["container"] = decoder.container
        return replace(request, body=body)

    def decoder(self, turn: Turn) -> MessagesDecoder:
        answer = answer_format(turn, self._rules(turn))
        return MessagesDecoder(
            scope=self.scope(turn),
            answer_tool=answer.tool_name,
            provider=self.name,
            sources=SOURCES in turn.passed_on.get("include", ()),
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return upstream_error(status, headers, body, provider=self.name)

    def revised(
        self, turn: Turn, request: UpstreamRequest, error: UpstreamError
    ) -> UpstreamRequest | None:
        """Without thinking, where that of earlier turns is refused."""
        if error.status != 400 or REFUSED_THINKING.search(error.message) is None:
            return None
        return _without_thinking(request)

    def count(self, turn: Turn) -> UpstreamRequest:
        request = self.encode(turn)
        body = {key: value for key, value in request.body.items() if key in _COUNTED}
        return replace(request, path=f"{request.path}/count_tokens", body=body)

    def counted(self, body: bytes) -> int:
        return read_count(body, "input_tokens", provider=self.name)

    def _rules(self, turn: Turn) -> ModelRules:
        return rules_for(turn.model) if self.rules is None else self.rules


def _without_thinking(request: UpstreamRequest) -> UpstreamRequest | None:
    """None if there is none in it. A loop of tools that was begun with a budget for thinking and
    lacks it now is gone on with without."""
    body: dict[str, Any] = {**request.body, "messages": without_thinking(request.body["messages"])}
    if body["messages"] == request.body["messages"]:
        return None
    dropped = [*request.dropped, "input.reasoning"]
    budgeted = body.get("thinking", {}).get("type") == "enabled"
    if budgeted and loop_lacks_thinking(body["messages"]):
        del body["thinking"]
        dropped.append("reasoning.effort")
    return replace(request, body=body, dropped=tuple(dropped))
