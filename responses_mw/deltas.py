"""What a provider says, in the smallest vocabulary that the Responses API can be assembled from.

A delta carries no id, no index and no sequence number: the assembler counts. Text, refusals and
reasoning open their item by themselves; a delta of another kind closes it. Tool calls are addressed
by `key` and may overlap.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

StopReason = Literal["stop", "max_output_tokens", "content_filter", "max_messages", "steered"]

_UNCOUNTABLE = 1 << 53
"""JSON numbers are whole up to here everywhere."""


@dataclass(frozen=True, slots=True)
class UpstreamInfo:
    """The upstream accepted the turn (2xx). First delta of every HTTP provider; fields as they get
    known.

    `dropped` names request fields that this upstream cannot express and that were left out.
    """

    model: str | None = None
    service_tier: str | None = None
    upstream_id: str | None = None
    dropped: tuple[str, ...] = ()

    def after(self, old: "UpstreamInfo") -> "UpstreamInfo":
        """All that is known, when this comes to what was known before."""
        return UpstreamInfo(
            model=self.model or old.model,
            service_tier=self.service_tier or old.service_tier,
            upstream_id=self.upstream_id or old.upstream_id,
            dropped=(*old.dropped, *self.dropped),
        )


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """Optional: only needed for a `phase` (commentary, final_answer) or an empty message."""

    phase: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """`logprobs` in the Responses form: [{token, logprob, bytes, top_logprobs}]."""

    text: str
    logprobs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class TextRun:
    """Several TextDeltas without logprobs, none of them empty: what one network read brought. No
    lone surrogates. Providers need not use it; it is cheaper."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    text: str


@dataclass(frozen=True, slots=True)
class AnnotationAdded:
    """A whole Responses annotation; its indexes count characters of the open text part."""

    annotation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Thinking that may be shown. Empty text opens an item without a summary (redacted thinking).

    `raw` marks a chain of thought rather than a summary of one.
    """

    text: str
    raw: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """`key` is the decoder's own name for the call; a `call_id` of None is minted by the assembler.

    `extra` are fields of the item that are shown as they are (who called, a namespace).
    """

    key: str | int
    name: str
    call_id: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    key: str | int
    arguments: str


@dataclass(frozen=True, slots=True)
class OutputItem:
    """A whole item that was not streamed (hosted tool calls). An id in it is replaced by ours. One
    that could not be sent again (a call without a `call_id`) is the provider's mistake."""

    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Canonical:
    """An event of an upstream that speaks Responses itself, for which no delta has a word.

    It goes out as it is, but for ids, indexes and numbers, which are ours. `key` is the decoder's
    own name for the item that its events open (`output_item.added`), tell and close
    (`output_item.done`); None for an event that is about the open message or reasoning, if about
    any item.
    """

    event: Mapping[str, Any]
    key: str | int | None = None


@dataclass(frozen=True, slots=True)
class PartFinished:
    """What the open message or reasoning item says next begins a part of its own."""


@dataclass(frozen=True, slots=True)
class NativeTurn:
    """The assistant turn as the upstream wants it back: verbatim JSON, in order.

    Replayed unmodified to an adapter whose `scope` is equal; everyone else gets the items. An
    adapter yields none when items suffice. At most one per turn, before Stopped.
    """

    scope: str
    state: Any


@dataclass(frozen=True, slots=True)
class ItemFinished:
    """Closes the open message or reasoning item, or the call named by `key`.

    `native` is what a client that keeps its own state must send back for this (reasoning) item
    alone.
    """

    key: str | int | None = None
    native: NativeTurn | None = None


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Tokens so far; a later report replaces an earlier one.

    `input_tokens` includes cached and cache-written ones, `output_tokens` includes reasoning.
    `cost` is in dollars, and only set where the response shall show it. `cache_write_1h_tokens` are
    those of `cache_write_tokens` that stay for an hour: some upstreams ask more for them.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None
    cache_write_1h_tokens: int = 0

    @property
    def countable(self) -> bool:
        """An upstream may report anything; an answer is not lost for it."""
        counts = (
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
        )
        return all(type(count) is int and 0 <= count < _UNCOUNTABLE for count in counts)

    def with_hours(self, tokens: object) -> "UsageReported":
        """`tokens` are what an upstream says was written for an hour, which may be anything."""
        if type(tokens) is not int or not self.countable:
            return self
        if not 0 < tokens <= self.cache_write_tokens:
            return self
        return dataclasses.replace(self, cache_write_1h_tokens=tokens)

    def plus(self, other: "UsageReported") -> "UsageReported":
        """What two requests for one answer used. What it cost is told later, of the sum."""
        summed = UsageReported(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )
        return summed.with_hours(self.cache_write_1h_tokens + other.cache_write_1h_tokens)


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why the model stopped: completed, or incomplete for one of the other reasons. Failures are
    raised."""

    reason: StopReason = "stop"


Note = ItemFinished | NativeTurn | UsageReported | UpstreamInfo | Stopped
"""Causes no event by itself."""

Opening = MessageStarted | ToolCallStarted | Canonical | PartFinished

Delta = (
    TextDelta
    | TextRun
    | RefusalDelta
    | AnnotationAdded
    | ReasoningDelta
    | ToolCallDelta
    | OutputItem
    | Opening
    | Note
)


def singly(deltas: Iterable[Delta]) -> Iterator[Delta]:
    """The same without runs."""
    for delta in deltas:
        if isinstance(delta, TextRun):
            yield from map(TextDelta, delta.texts)
        else:
            yield delta
