"""How an application wants its responses served. Defaults are right for most."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from responses_mw.errors import ConfigurationError
from responses_mw.output_items import RawReasoning
from responses_mw.prompts import Prompts
from responses_mw.records import Redact


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times are seconds, sizes bytes."""

    hold_status_s: float = 10.0
    """How long the status line waits for the upstream to accept the turn, so that its 401 or 429
    can still be ours. Later errors are said in the stream."""
    keep_alive_s: float = 15.0
    """A comment is sent after this much silence, so that proxies keep the stream open."""
    lease_s: float = 30.0
    """A worker that has not renewed its claim on a response for this long is taken for dead."""
    drain_s: float = 30.0
    """How long a shutdown waits for the responses under way."""
    conversation_wait_s: float = 60.0
    """How long a turn waits for the one that runs in its conversation."""
    history_cache_bytes: int = 64 * 1024 * 1024
    """Of conversations kept in memory for their next turn, in each worker; 0 keeps none. Nothing is
    read from here that was deleted or purged, whoever did it."""
    max_body_bytes: int = 64 * 1024 * 1024
    """Of one request over HTTP, of one message on a WebSocket, of all that wait there, and of what
    the compactions of one request and its chain unpack to."""
    max_output_bytes: int = 64 * 1024 * 1024
    """Of one answer, about: its characters, and 64 for each piece that it comes in. One that goes
    on behind them is stopped, and failed with what it said."""
    socket_queue: int = 16
    """How many messages may wait on a WebSocket behind the response under way."""
    socket_idle_s: float = 900.0
    """A WebSocket is closed when nothing was asked on it, or taken from it, for this long."""
    socket_limit_s: float = 3600.0
    """A WebSocket that is older begins no turn any more, and is closed."""
    socket_origins: tuple[str, ...] = ()
    """Pages that may open a WebSocket besides those of the same host, such as
    `https://app.example.com`; `*` are all."""
    finish_when_client_leaves: bool = True
    """A stored response is generated to its end without its client; False cancels it instead.
    Unstored ones are always cancelled."""
    strict: bool = False
    """What a provider cannot express is a 400, rather than left out and named in a header."""
    raw_reasoning: RawReasoning | None = None
    """None shows chains of thought as summaries, which every client understands; `openai` or
    `openresponses` shows them as reasoning content under the event names of the one or the
    other."""
    plugins: bool = True
    """Callbacks that installed distributions bring are told, too."""
    ttl_s: float | None = None
    """Responses older than this are deleted; a conversation that goes on keeps what it was built
    on. None: they stay."""
    owner_ttl_s: Mapping[str, float | None] = field(default_factory=dict)
    """The same for single owners, instead of `ttl_s`."""
    cost_in_usage: bool = False
    """What a response cost stands in its `usage`, as `cost` in dollars: in a stream there is no
    header for it."""
    metrics: bool = False
    """Counts for Prometheus, told at `/metrics`; needs the extra `metrics`."""
    metrics_key: str | None = field(default=None, repr=False)
    """What must be sent to read them. None: they are open to whoever reaches the application."""
    otel: bool = False
    """Spans and metrics go to the OpenTelemetry SDK that the host set up; needs extra `otel`."""
    log_content: bool = False
    """What was asked and answered is told to the log and to callbacks, too."""
    redact_content: Redact | None = field(default=None, repr=False)
    """Gets that first, and gives back what may be told of it."""
    seal_key: bytes | None = field(default=None, repr=False)
    """Signs reasoning and compactions that clients keep themselves. None: made once and kept in the
    store."""
    prompts: Prompts | None = field(default=None, repr=False)
    """The templates that `prompt` may name: by id, or asked of a function of the application's."""

    def __post_init__(self) -> None:
        """What is no number would be found out late, by a task that nobody hears of."""
        for each in fields(self):
            if each.type in (int, float):
                _check_number(each.name, getattr(self, each.name))
        lifetimes = {f"owner_ttl_s[{owner!r}]": ttl for owner, ttl in self.owner_ttl_s.items()}
        for name, ttl in {"ttl_s": self.ttl_s, **lifetimes}.items():
            if ttl is not None:
                _check_number(name, ttl)
        if self.raw_reasoning not in (None, *get_args(RawReasoning)):
            known = ", ".join(map(repr, get_args(RawReasoning)))
            raise ConfigurationError(
                f"Settings: raw_reasoning is {self.raw_reasoning!r}; it can be None, {known}"
            )


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigurationError(f"Settings: {name} is {value!r}; a number from 0 on is needed")
