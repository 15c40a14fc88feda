"""The chat completions format, as OpenAI defined it and many servers speak it.

Only the seam stands here: `chat_encode` writes requests, `chat_decode` reads answers, and
`chat_dialects` says how vendors differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from responses_mw.adapters.base import Decoder, Framing, UpstreamRequest
from responses_mw.adapters.chat_decode import ChatDecoder, decode_answer
from responses_mw.adapters.chat_dialects import OPENAI, ChatDialect
from responses_mw.adapters.chat_encode import encode_turn
from responses_mw.adapters.upstream_errors import upstream_error
from responses_mw.deltas import Delta
from responses_mw.errors import UpstreamError
from responses_mw.turn import Turn


class ChatCompletions:
    """`api_version` is for Azure's older addresses."""

    framing: Framing = "sse"

    def __init__(self, dialect: ChatDialect = OPENAI, *, api_version: str | None = None) -> None:
        self.dialect = dialect
        self.name = dialect.name
        self._query = "" if api_version is None else f"?api-version={api_version}"

    def scope(self, turn: Turn) -> str:
        """The whole model name: behind a gateway, signatures bind to the model, not to a family."""
        return f"chat_completions/{self.dialect.name}/{turn.model}"

    def encode(self, turn: Turn) -> UpstreamRequest:
        request = encode_turn(turn, self.dialect, scope=self.scope(turn))
        return replace(request, path=request.path + self._query) if self._query else request

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        return iter(decode_answer(body, self.dialect, scope=self.scope(turn)))

    def decoder(self, turn: Turn) -> Decoder:
        return ChatDecoder(self.dialect, scope=self.scope(turn))

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return upstream_error(status, headers, body, provider=self.name)
