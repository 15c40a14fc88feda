"""The two shapes an adapter has: encode a turn, decode an answer. No I/O, no state between
requests."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from responses_mw.deltas import Delta
from responses_mw.errors import UpstreamError
from responses_mw.eventstream import EventStreamParser
from responses_mw.sse import NDJSONParser, ServerSentEvent, SSEParser
from responses_mw.turn import Turn

Framing = Literal["sse", "ndjson", "eventstream"]


class Parser(Protocol):
    """Cuts one stream's bytes into events, whatever the chunking."""

    def feed(self, chunk: bytes) -> Iterable[ServerSentEvent]: ...


PARSERS: Mapping[Framing, Callable[[], Parser]] = {
    "sse": SSEParser,
    "ndjson": NDJSONParser,
    "eventstream": EventStreamParser,
}


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """`path` is appended to the deployment's base URL; `dropped` names the fields that were left
    out."""

    path: str
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


class Decoder(Protocol):
    """One streamed answer. NDJSON lines arrive as events with `event` None; an AWS event-stream
    message has its event type, or its exception's, as `event`. Where the answer has another shape
    than its format says, whatever Python raises is left to the caller (`decoding`)."""

    def feed(self, event: ServerSentEvent) -> Iterator[Delta]: ...

    def close(self) -> Iterator[Delta]:
        """The bytes ended. Raises UpstreamProtocolError if the answer was cut short."""
        ...


class Adapter(Protocol):
    """One wire format. Decoding takes the turn it answers: emulations and scopes depend on it."""

    @property
    def name(self) -> str: ...

    @property
    def framing(self) -> Framing: ...

    def scope(self, turn: Turn) -> str:
        """Names what a native turn may be replayed to: adapter, model family, and more where it
        binds."""
        ...

    def encode(self, turn: Turn) -> UpstreamRequest:
        """Raises UnsupportedByProvider, naming the field, for what the format cannot say."""
        ...

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        """A whole answer: the same deltas, merged, as its stream would give."""
        ...

    def decoder(self, turn: Turn) -> Decoder: ...

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """An HTTP error of the upstream, translated. Header names are lower case."""
        ...


@runtime_checkable
class Revises(Protocol):
    """What an adapter also has if its upstream can be asked again, otherwise, after a refusal."""

    def revised(
        self, turn: Turn, request: UpstreamRequest, error: UpstreamError
    ) -> UpstreamRequest | None:
        """The request to send instead; None if the refusal stands. Asked once."""
        ...


@runtime_checkable
class KnowsTools(Protocol):
    """What an adapter also has whose upstream may know custom tools and namespaces: others are
    offered functions instead, by `client_tools`."""

    def knows(self, type: str) -> bool:
        """A type of tools."""
        ...


@runtime_checkable
class Continues(Protocol):
    """What an adapter also has if its upstream may pause in an answer and be asked to go on."""

    def read_whole(self, body: bytes, decoder: Any) -> Iterator[Delta]:
        """`decode` without the end, which the decoder's `close` says."""
        ...

    def continued(self, request: UpstreamRequest, decoder: Any) -> UpstreamRequest | None:
        """What to ask, after `request`, for the rest of an answer; None if the decoder has all of
        it. The decoder goes on with the answer to that."""
        ...


@runtime_checkable
class Counts(Protocol):
    """What an adapter also has if its upstream counts the input tokens of a turn without answering
    it."""

    def count(self, turn: Turn) -> UpstreamRequest: ...

    def counted(self, body: bytes) -> int:
        """Raises UpstreamProtocolError if the answer says no number."""
        ...
