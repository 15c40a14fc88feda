"""The Responses API as an upstream: OpenAI, Azure, and others that speak it.

Only the seam stands here: `openai_responses_encode` writes requests, `openai_responses_decode`
reads answers, and `openai_responses_dialects` says how vendors differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from responses_mw.adapters.base import Framing, UpstreamRequest
from responses_mw.adapters.openai_responses_decode import ResponsesDecoder
from responses_mw.adapters.openai_responses_dialects import OPENAI, ResponsesDialect
from responses_mw.adapters.openai_responses_encode import (
    ENCRYPTED,
    EncodeOptions,
    encode_count,
    encode_turn,
    is_plain,
)
from responses_mw.adapters.openai_responses_state import digest
from responses_mw.adapters.upstream_errors import upstream_error
from responses_mw.adapters.upstream_json import read_count
from responses_mw.deltas import Delta
from responses_mw.errors import UnsupportedByProvider, UpstreamError
from responses_mw.turn import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIResponses:
    """`binding` names who can read what this upstream encrypts (an organisation, a resource):
    reasoning is sent back only where it is the same.

    `api_version` is for Azure's older addresses. With `native_state` the upstream keeps the
    conversation, and a chain that stays with it is continued from its own id.
    """

    dialect: ResponsesDialect = OPENAI
    binding: str = ""
    api_version: str | None = None
    native_state: bool = False
    framing: Framing = "sse"

    @property
    def name(self) -> str:
        return self.dialect.name

    def knows(self, type: str) -> bool:
        return self.dialect.tools is None or type in self.dialect.tools

    def scope(self, turn: Turn) -> str:
        family = "plain" if is_plain(turn.model, self.dialect) else "reasoning"
        model = turn.model if self.dialect.bound_to_model else family
        return f"openai_responses/{self.name}/{self.binding}/{model}"

    def encode(self, turn: Turn) -> UpstreamRequest:
        keep = self._keeps(turn)
        return encode_turn(turn, self.dialect, self._options(turn, keep=keep, continued=keep))

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        return self.decoder(turn).whole(body)

    def decoder(self, turn: Turn) -> ResponsesDecoder:
        return ResponsesDecoder(
            self.dialect,
            scope=self.scope(turn),
            limit=turn.max_output_tokens,
            before=digest(turn.spans) if self._keeps(turn) else None,
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return upstream_error(status, headers, body, provider=self.name)

    def revised(
        self, turn: Turn, request: UpstreamRequest, error: UpstreamError
    ) -> UpstreamRequest | None:
        """What to ask instead: without an id that is gone, or reasoning that cannot be read."""
        if "previous_response_id" in request.body:
            if error.code == "previous_response_not_found" or error.status == 404:
                return encode_turn(turn, self.dialect, self._options(turn, keep=True))
            return None
        message = error.message.lower()
        if error.code == "invalid_encrypted_content" or "encrypted content" in message:
            return _without_encrypted_reasoning(request)
        return None

    # --- counting

    def count(self, turn: Turn) -> UpstreamRequest:
        if not self.dialect.counts_tokens:
            raise UnsupportedByProvider(f"{self.name} does not count tokens without answering")
        return encode_count(turn, self.dialect, self._options(turn))

    def counted(self, body: bytes) -> int:
        return read_count(body, "input_tokens", provider=self.name)

    def _keeps(self, turn: Turn) -> bool:
        """What a client does not want stored is not stored upstream either."""
        return self.native_state and bool(turn.passed_on.get("store", True))

    def _options(self, turn: Turn, *, keep: bool = False, continued: bool = False) -> EncodeOptions:
        query = "" if self.api_version is None else f"?api-version={self.api_version}"
        return EncodeOptions(
            path=f"/responses{query}", scope=self.scope(turn), keep=keep, continued=continued
        )


def _without_encrypted_reasoning(request: UpstreamRequest) -> UpstreamRequest | None:
    """Ids go as well: OpenAI wants the reasoning beside items that it knows to belong together."""
    body = dict(request.body)
    include = [name for name in body.get("include", ()) if name != ENCRYPTED]
    items = [item for item in body["input"] if item.get("type") != "reasoning"]
    thoughtless = len(items) == len(body["input"])
    if thoughtless and include == body.get("include", []):
        return None
    unbound = ("message", "function_call")
    body["input"] = [
        {key: value for key, value in item.items() if key != "id"}
        if item.get("type") in unbound
        else item
        for item in items
    ]
    body.pop("include", None)
    if include:
        body["include"] = include
    left_out = "include" if thoughtless else "input.reasoning"
    return replace(request, body=body, dropped=(*request.dropped, left_out))
