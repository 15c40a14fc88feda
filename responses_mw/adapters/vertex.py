"""Vertex AI: where its models are met, and how Claude's Messages API is spoken there.

Google's own models are `gemini.py` with the surface VERTEX_AI.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from responses_mw.adapters.base import Adapter, Counts, Decoder, Framing, UpstreamRequest
from responses_mw.deltas import Delta
from responses_mw.errors import UnsupportedByProvider, UpstreamError
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexClaude:
    """A Messages adapter, addressed as Vertex AI wants it: the model is in the path, the version
    in the body. Its signatures hold wherever Claude's do, so the scope is that of `messages`."""

    messages: Adapter
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
        return UpstreamRequest(
            f"{_CLAUDE}{model}:{method}", request.body, request.headers, request.dropped
        )

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        return self.messages.decode(body, turn)

    def decoder(self, turn: Turn) -> Decoder:
        return self.messages.decoder(turn)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return self.messages.error(status, headers, body)

    def count(self, turn: Turn) -> UpstreamRequest:
        request = self._addressed(self._counts().count(turn))
        path = f"{_CLAUDE}count-tokens:rawPredict"
        return UpstreamRequest(path, request.body, request.headers, request.dropped)

    def counted(self, body: bytes) -> int:
        return self._counts().counted(body)

    def _counts(self) -> Counts:
        if not isinstance(self.messages, Counts):
            raise UnsupportedByProvider(f"{self.name} cannot count tokens without answering")
        return self.messages

    def _addressed(self, request: UpstreamRequest) -> UpstreamRequest:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() != "anthropic-version"
        }
        body = {"anthropic_version": self.version, **request.body}
        return UpstreamRequest(request.path, body, headers, request.dropped)
