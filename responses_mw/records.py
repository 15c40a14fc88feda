"""What there is to know about one turn beside its words: who asked, who answered, for how much.

A record is filled while a response is generated; observers see it at three moments. It holds no
key, and neither prompt nor output unless `Settings(log_content=True)` asks for them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from responses_mw.deltas import UsageReported
from responses_mw.output_items import Status


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what their request's headers say about it.

    `key` is the id of the virtual key, never the key; `models` are those it may ask for, None: all.
    `trace` are the W3C trace context headers.
    """

    owner: str
    key: str | None = None
    models: tuple[str, ...] | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    end_user: str | None = None
    timeout_s: float | None = None
    retries: int | None = None
    trace: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One deployment that was asked; `error` is the code it failed with, None for the one that
    answered. Seconds."""

    deployment: str
    started_s: float
    ended_s: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What was said: the request's own input as it was sent, without the conversation before it,
    and the answer; both as items."""

    input: Sequence[Mapping[str, Any]]
    output: Sequence[Mapping[str, Any]] = ()
    instructions: str | None = None


Redact = Callable[[Content], Content | None]
"""Called on the event loop, once a response has ended. None: nothing of it is told."""


@dataclass(slots=True)
class TurnRecord:
    """Times are seconds of a monotonic clock, `created_at` seconds since the epoch.

    `cost_nano` is in nano-dollars, None where a price is unknown. `chain` is the first response of
    the chain or the conversation, where it is known.
    """

    id: str
    caller: Caller
    model: str
    created_at: float
    started_s: float
    stored: bool
    streamed: bool
    background: bool
    previous_response_id: str | None = None
    conversation: str | None = None
    previous_deployment: str | None = None
    """Who answered the turn before this one."""
    chain: str | None = None
    end_user: str | None = None
    deployment: str | None = None
    fallback: str | None = None
    """`from->to`, models or deployments, where somebody else answered than was wanted."""
    upstream_model: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    first_delta_s: float | None = None
    ended_s: float | None = None
    status: Status = "in_progress"
    error: str | None = None
    usage: UsageReported | None = None
    estimated: bool = False
    """The answer was cut short before its upstream said what was used."""
    cost_nano: int | None = None
    charged_nano: int | None = None
    """What is known of a cost that is unknown as a whole: a key is charged that."""
    content: Content | None = None
    """Only where `Settings(log_content=True)`; redacted from `on_end` on, and before that None."""
    attempting: list[Callable[[Any], None]] = field(default_factory=list, repr=False)
    """Told of each deployment before it is asked, in the task that asks."""

    def attempt(self, deployment: Any) -> None:
        for told in self.attempting:
            told(deployment)


class Observer(Protocol):
    """Called on the event loop, in a task that is this response's alone: it must return at once,
    and need not put context variables back. Whoever inherits from it says only what it does."""

    def on_start(self, record: TurnRecord) -> None:
        """Before a deployment is chosen."""
        return

    def on_first_delta(self, record: TurnRecord) -> None:
        """As it is passed on."""
        return

    def on_end(self, record: TurnRecord) -> None:
        """After the end was stored; for HTTP errors, too, that left nothing behind."""
        return

    def on_ended(self, records: Sequence[TurnRecord]) -> None:
        """The same a moment later, of many in a row, which costs a third: when there are 64, at
        the latest after a quarter of a second, at shutdown before `flush`. In whichever thread."""
        return


Observers = Sequence[Observer]


@runtime_checkable
class Flushes(Protocol):
    """What an observer also has that tells others later."""

    async def flush(self) -> None:
        """At shutdown, once all responses have ended. Returns in seconds."""
        ...
