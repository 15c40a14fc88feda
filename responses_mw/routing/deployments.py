"""What may answer for a model: providers, and deployments of them as their operator describes them.

What is learnt of a deployment while it is asked stands in `standing`.
"""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from responses_mw.cost import Prices
from responses_mw.deltas import Delta
from responses_mw.errors import ConfigurationError
from responses_mw.turn import Turn

WILDCARD = "*"
_OPTIONS = {field.name for field in dataclasses.fields(Turn) if field.default is None}


@runtime_checkable
class Provider(Protocol):
    """Answers turns. Errors are raised from the UpstreamError tree (or InvalidRequest for the
    turn's).

    A provider that has several deltas at once may also have `batches(turn)`, giving lists of them,
    and `aclose()`, called when the application shuts down.
    """

    def stream(self, turn: Turn) -> AsyncIterator[Delta]: ...


@runtime_checkable
class CountsTokens(Protocol):
    """What a provider also has if it can count a turn's input tokens without answering it."""

    async def count(self, turn: Turn) -> int | None:
        """None where the upstream cannot, after all."""
        ...


@runtime_checkable
class HasScope(Protocol):
    """What a provider also has if it sends native turns back."""

    def scope(self, turn: Turn) -> str:
        """Native turns of this scope can be read there."""
        ...


@dataclass(frozen=True, slots=True)
class Deployment:
    """One place that answers for a model. `model` is its own name for it, None: the public one; a
    `*` in it stands for what the public name's `*` stood for.

    `id` names it in headers and records; None: made from the public name and its place in the list.
    `max_input_tokens` is how many a turn may have, where that is known. `prices` are its own
    by LiteLLM's names (`input_cost_per_token`, ...), else those of a kept list; `base_model` is its
    `provider/name` there, where its names do not tell.
    """

    provider: Provider
    model: str | None = None
    id: str | None = None
    max_input_tokens: int | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    base_model: str | None = None
    _: dataclasses.KW_ONLY
    weight: float | None = None
    """Its share of a shuffle."""
    rpm: int | None = None
    """Requests per minute: a share of a shuffle, a limit where limits are kept."""
    tpm: int | None = None
    """Tokens per minute, likewise."""
    order: int | None = None
    """Lower ones are asked first, those without one last."""
    max_retries: int | None = None
    """How often it is asked again in one turn; None: as the routing says."""
    first_delta_s: float | None = None
    """How long a streamed answer may take to say something."""
    idle_s: float | None = None
    """How long a streamed answer may then be silent."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Options of a Turn (`temperature`, `max_output_tokens`, ...) that hold where a client says
    nothing."""

    def as_asked(self, turn: Turn) -> Turn:
        """The turn under this deployment's own name for the model, with its defaults."""
        if self.model is not None and self.model != turn.model:
            turn = turn.under(self.model)
        return turn if not self.defaults else self._with_defaults(turn)

    def _with_defaults(self, turn: Turn) -> Turn:
        unsaid = {name: to for name, to in self.defaults.items() if getattr(turn, name) is None}
        return dataclasses.replace(turn, **unsaid)


Models = Mapping[str, Provider | Deployment | Sequence[Deployment]]


def deployments_of(
    name: str, given: Provider | Deployment | Sequence[Deployment]
) -> list[Deployment]:
    """Each with an id. Raises ConfigurationError for what is none."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        places = {f"models[{name!r}][{n}]": entry for n, entry in enumerate(given)}
    else:
        entry = given if isinstance(given, Deployment) else Deployment(given)
        places = {f"models[{name!r}]": entry}
    found: list[Deployment] = []
    for n, (place, deployment) in enumerate(places.items()):
        _check(deployment, place)
        Prices.told(deployment.prices)  # what is no price stops the start
        if unknown := sorted(set(deployment.defaults) - _OPTIONS):
            raise ConfigurationError(f"{place}.defaults: a turn has no {unknown}")
        id = deployment.id or (name if len(places) == 1 else f"{name}-{n}")
        found.append(dataclasses.replace(deployment, id=id))
    if not found:
        raise ConfigurationError(f"models[{name!r}] is empty: give it at least one deployment")
    return found


def _check(deployment: object, place: str) -> None:
    if not isinstance(deployment, Deployment):
        kind = type(deployment).__name__
        raise ConfigurationError(
            f"{place} is of type {kind}; a Deployment around a Provider is needed in a list"
        )
    provider: object = deployment.provider
    if isinstance(provider, type):
        name = provider.__name__
        raise ConfigurationError(f"{place} is the class {name}; an object of it is needed")
    if isinstance(provider, str):
        raise ConfigurationError(
            f"{place} is text; a Provider is needed (names are for ResponsesApp.from_config)"
        )
    if not isinstance(provider, Provider):
        raise ConfigurationError(
            f"{place} is of type {type(provider).__name__}; a Provider (an object with a method "
            "stream(turn)) or a Deployment around one is needed"
        )
