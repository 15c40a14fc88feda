"""Which deployments a public name means: names, aliases, and wildcards by how closely they fit."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from responses_mw.errors import ConfigurationError, InvalidRequest
from responses_mw.routing.deployments import WILDCARD, Deployment, Models, deployments_of
from responses_mw.routing.options import Routing
from responses_mw.routing.standing import Standing


@dataclass(frozen=True, slots=True)
class Found:
    """`rest` is what a wildcard stood for, None where there was none."""

    model: str
    standings: Sequence[Standing]
    rest: str | None = None

    def deployment(self, standing: Standing) -> Deployment:
        """As it is to be asked for this name."""
        named = standing.deployment
        if self.rest is None or named.model is None or WILDCARD not in named.model:
            return named
        return dataclasses.replace(named, model=named.model.replace(WILDCARD, self.rest))


class Directory:
    """Raises ConfigurationError for no models, and for aliases and fallbacks that lead nowhere."""

    def __init__(self, models: Models, routing: Routing) -> None:
        if not models:
            raise ConfigurationError("models is empty: name at least one model and its provider")
        self._aliases = dict(routing.aliases)
        self._hidden = routing.hidden
        self._standings = {
            name: _standings(deployments_of(name, given), routing) for name, given in models.items()
        }
        self._found = {
            name: Found(name, standings)
            for name, standings in self._standings.items()
            if WILDCARD not in name
        }
        # The longest pattern says most of the name.
        patterns = sorted((name for name in models if WILDCARD in name), key=len, reverse=True)
        self._patterns = [(_compiled(name), name) for name in patterns]
        self._check(routing)

    @property
    def names(self) -> list[str]:
        """What is listed among the models."""
        aliases = [name for name in self._aliases if name not in self._hidden]
        return [*self._standings, *(name for name in aliases if name not in self._standings)]

    @property
    def standings(self) -> list[Standing]:
        return [standing for standings in self._standings.values() for standing in standings]

    def find(self, model: str) -> Found | None:
        model = self._aliases.get(model, model)
        found = self._found.get(model)
        if found is not None:
            return found
        for pattern, name in self._patterns:
            fits = pattern.fullmatch(model)
            if fits is not None:
                return Found(model, self._standings[name], fits[1])
        return None

    def get(self, model: str) -> Found:
        """Raises InvalidRequest for a model nobody serves, naming those somebody does."""
        found = self.find(model)
        if found is None:
            known = ", ".join(sorted(self.names))
            raise InvalidRequest(
                f"The model {model[:100]!r} does not exist. Known models: {known}.",
                param="model",
                code="model_not_found",
            )
        return found

    def _check(self, routing: Routing) -> None:
        named: dict[str, Sequence[str]]
        named = {f"the alias {name!r}": [model] for name, model in self._aliases.items()}
        for kind in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
            for name, models in getattr(routing, kind).items():
                named[f"{kind} of {name!r}"] = models
        named["default_fallbacks"] = routing.default_fallbacks
        for what, models in named.items():
            for model in models:
                if self.find(model) is None:
                    raise ConfigurationError(
                        f"routing: {what} leads to {model!r}, which is not among the models"
                    )


def _standings(deployments: Sequence[Deployment], routing: Routing) -> list[Standing]:
    shares = _shares(deployments)
    return [
        Standing(deployment, routing, share=share)
        for deployment, share in zip(deployments, shares, strict=True)
    ]


def _shares(deployments: Sequence[Deployment]) -> Sequence[float | None]:
    """By the first measure that any of them names; who does not name it is asked last."""
    for shares in (
        [deployment.weight for deployment in deployments],
        [deployment.rpm for deployment in deployments],
        [deployment.tpm for deployment in deployments],
    ):
        if any(share is not None for share in shares):
            return [share or 0.0 for share in shares]
    return [None] * len(deployments)


def _compiled(name: str) -> re.Pattern[str]:
    """Only the first `*` is one; what it stands for is group 1."""
    before, _, after = name.partition(WILDCARD)
    return re.compile(f"{re.escape(before)}(.+){re.escape(after)}", re.DOTALL)
