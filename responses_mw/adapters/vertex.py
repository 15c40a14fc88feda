"""Vertex AI: where its models are met, and how Claude's Messages API is spoken there.

Google's own models are `gemini.py` with the surface VERTEX_AI.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote

from responses_mw.adapters.base import (
    Adapter,
    Continues,
    Counts,
    Decoder,
    Framing,
    Revises,
    UpstreamRequest,
)
from responses_mw.deltas import Delta
from responses_mw.errors import UpstreamError
from responses_mw.turn import Turn

_CLAUDE = "/publishers/anthropic/models/"


def base_url(
    project: str, location: str = "global", *, version: str = "v1beta1", host: str | None = None
) -> str:
    """As far as the location. `host` replaces Google's, with its scheme."""
    if host is None:
        if location == "global":
            host = "https://aiplatform.googleapis.com"
        elif location in ("us", "eu"):
            host = f"https://aiplatform.{location}.rep.googleapis.com"
        else:
            host = f"https://{location}-aiplatform.googleapis.com"
    return f"{host.rstrip('/')}/{version}/projects/{project}/locations/{location}"


class Messages(Adapter, Continues, Counts, Revises, Protocol):
    """What an adapter of the Messages API has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexClaude:
    """A Messages adapter, addressed as Vertex AI wants it: the model is in the path, the version
    in the body. Its signatures hold wherever Claude's do, so the scope is that of `messages`."""

    messages: Messages
    version: str = "vertex-2023-10-16"

    @property
    def name(self) -> str:
        return self.messages.name

    @property
    def framing(self) -> Framing:
        return self.messages.framing

    def scope(self, turn: Turn) -> str:
        return self.messages.scope(turn)

    def encode(self, turn: Turn) -> UpstreamRequest:
        method = "streamRawPredict" if turn.stream else "rawPredict"
        request = self._addressed(self.messages.encode(turn))
        model = quote(str(request.body.pop("model")), safe="@")
        return replace(request, path=f"{_CLAUDE}{model}:{method}")

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        return self.messages.decode(body, turn)

    def decoder(self, turn: Turn) -> Decoder:
        return self.messages.decoder(turn)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return self.messages.error(status, headers, body)

    # What follows an answer or a refusal differs from `request` in its messages alone.

    def read_whole(self, body: bytes, decoder: Any) -> Iterator[Delta]:
        return self.messages.read_whole(body, decoder)

    def continued(self, request: UpstreamRequest, decoder: Any) -> UpstreamRequest | None:
        return self.messages.continued(request, decoder)

    def revised(
        self, turn: Turn, request: UpstreamRequest, error: UpstreamError
    ) -> UpstreamRequest | None:
        return self.messages.revised(turn, request, error)

    def count(self, turn: Turn) -> UpstreamRequest:
        request = self._addressed(self.messages.count(turn))
        return replace(request, path=f"{_CLAUDE}count-tokens:rawPredict")

    def counted(self, body: bytes) -> int:
        return self.messages.counted(body)

    def _addressed(self, request: UpstreamRequest) -> UpstreamRequest:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() != "anthropic-version"
        }
        body = {"anthropic_version": self.version, **request.body}
        return UpstreamRequest(request.path, body, headers, request.dropped)
