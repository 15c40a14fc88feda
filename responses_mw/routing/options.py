"""How an operator wants turns routed: values and their defaults, checked once. No behaviour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from responses_mw.errors import ConfigurationError

StrategyName = Literal[
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing",
    "cost-based-routing",
]
Check = Literal[
    "responses_api_deployment_check",
    "encrypted_content_affinity",
    "session_affinity",
    "deployment_affinity",
    "enforce_model_rate_limits",
]
CONTINUITY: tuple[Check, ...] = ("responses_api_deployment_check", "encrypted_content_affinity")

Names = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Times are seconds. Every deployment of a model is asked once before a turn fails, `retries`
    or not."""

    strategy: StrategyName = "simple-shuffle"
    latency_buffer: float = 0.0
    """Deployments slower than the fastest by no more than this share of its time count as equal."""
    retries: int = 0
    """How many attempts at a model there may be after the first."""
    backoff_s: float = 0.5
    """Before the first retry; each further one waits twice as long, a random part less."""
    least_wait_s: float = 0.0
    most_wait_s: float = 60.0
    """An upstream that says it needs longer is not waited for."""
    timeout_s: float | None = None
    """For a turn, its retries and fallbacks included."""
    first_delta_s: float | None = None
    idle_s: float | None = None
    """As on a Deployment, for those that say nothing."""
    allowed_fails: int = 3
    """More within a minute, and a deployment cools down."""
    cooldown_s: float = 5.0
    """Then one turn tries it; twice as long after every try that fails, up to five minutes."""
    cooldowns: bool = True
    check_input_length: bool = False
    """Do not ask a deployment whose `max_input_tokens` the turn seems to exceed."""
    fallbacks: Names = field(default_factory=dict)
    """Which models to ask when one has failed; `*` is any."""
    context_window_fallbacks: Names = field(default_factory=dict)
    content_policy_fallbacks: Names = field(default_factory=dict)
    default_fallbacks: Sequence[str] = ()
    max_fallbacks: int = 5
    aliases: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    """Aliases that are not listed among the models."""
    checks: Sequence[Check] = CONTINUITY
    affinity_ttl_s: float = 3600.0
    redis_url: str | None = field(default=None, repr=False)
    """Where workers share limits, cooldowns and affinities. None: each has its own."""

    def __post_init__(self) -> None:
        _check_one_of("strategy", self.strategy, get_args(StrategyName))
        for check in self.checks:
            _check_one_of("checks", check, get_args(Check))
        for option in fields(self):
            value = getattr(self, option.name)
            if isinstance(value, int | float) and value < 0:
                raise ConfigurationError(
                    f"routing: {option.name} is {value}; it cannot be negative"
                )

    @property
    def limited(self) -> bool:
        """Whether a deployment is asked no more than its `rpm` and `tpm`."""
        return self.strategy == "usage-based-routing" or "enforce_model_rate_limits" in self.checks


def _check_one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigurationError(f"routing: {name} is {value!r}; known are {', '.join(known)}")
