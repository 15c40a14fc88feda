"""Which deployments a public name means: names, aliases, ids of deployments, and wildcards by how
closely they fit."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from responses_mw.errors import ConfigurationError, InvalidRequest
from responses_mw.routing.deployments import WILDCARD, Deployment, Models, deployments_of
from responses_mw.routing.options import Routing
from responses_mw.routing.standing import Standing

MOST_REMEMBERED = 1000
LONGEST_REMEMBERED = 100
"""Names behind wildcards are the clients' own: neither all nor long ones are remembered."""


@dataclass(frozen=True, slots=True)
class Found:
    """`named` are those deployments that a wildcard gives another name of the model."""

    model: str
    standings: Sequence[Standing]
    named: Mapping[Standing, Deployment] = field(default_factory=dict)

    def deployment(self, standing: Standing) -> Deployment:
        """As it is to be asked for this name."""
        return self.named.get(standing) or standing.deployment


class Directory:
    """Raises ConfigurationError for no models, and for aliases and fallbacks that lead nowhere."""

    def __init__(self, models: Models, routing: Routing) -> None:
        given: object = models
        if not isinstance(given, Mapping):
            raise ConfigurationError(
                f"models is of type {type(given).__name__}; a mapping from public names to "
                "providers is needed"
            )
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
        for id, standing in self._named(models):
            self._found.setdefault(id, Found(id, [standing]))
        # The longest pattern says most of the name.
        patterns = sorted((name for name in models if WILDCARD in name), key=len, reverse=True)
        self._patterns = [(_compiled(name), name) for name in patterns]
        self._behind_wildcards: dict[str, Found] = {}
        self._check(routing)

    @property
    def names(self) -> list[str]:
        """What is listed among the models."""
        aliases = [name for name in self._aliases if name not in self._hidden]
        return [*self._standings, *(name for name in aliases if name not in self._standings)]

    @property
    def standings(self) -> list[Standing]:
        return [standing for standings in self._standings.values() for standing in standings]

    def _named(self, models: Models) -> Iterator[tuple[str, Standing]]:
        """Deployments with ids that somebody gave them, which stand for a model, too."""
        for name, given in models.items():
            deployments = given if isinstance(given, Sequence) else [given]
            for each, standing in zip(deployments, self._standings[name], strict=True):
                if isinstance(each, Deployment) and each.id and WILDCARD not in (each.model or ""):
                    yield each.id, standing

    def find(self, model: str) -> Found | None:
        model = self._aliases.get(model, model)
        found = self._found.get(model)
        if found is not None:
            return found
        found = self._behind_wildcards.get(model)
        if found is not None:
            return found
        for pattern, name in self._patterns:
            fits = pattern.fullmatch(model)
            if fits is not None:
                return self._remembered(_found(model, self._standings[name], fits.groups()))
        return None

    def _remembered(self, found: Found) -> Found:
        """Finding it takes as long as half of all else that routing does."""
        if len(found.model) > LONGEST_REMEMBERED:
            return found
        if len(self._behind_wildcards) >= MOST_REMEMBERED:
            self._behind_wildcards.clear()
        self._behind_wildcards[found.model] = found
        return found

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


def _found(model: str, standings: Sequence[Standing], rest: Sequence[str]) -> Found:
    """`rest` is what each wildcard stood for."""
    named: dict[Standing, Deployment] = {}
    for standing in standings:
        theirs = standing.deployment.model
        if theirs is not None and WILDCARD in theirs:
            own = _filled(theirs, rest)
            named[standing] = dataclasses.replace(standing.deployment, model=own)
    return Found(model, standings, named)


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


def _filled(name: str, rest: Sequence[str]) -> str:
    """Its first wildcard is the first of the public name, and so on."""
    if len(rest) == 1:
        return name.replace(WILDCARD, rest[0])
    first, *others = name.split(WILDCARD)
    return first + "".join(map("".join, zip(rest, others, strict=False)))


def _compiled(name: str) -> re.Pattern[str]:
    """What each `*` stands for is a group: as little as fits, and for the last one what is left.

    Nothing is tried twice, so that no name that a client makes up takes long.
    """
    first, *between, last = map(re.escape, name.split(WILDCARD))
    middle = "".join(f"(?>(.+?){text})" for text in between)
    return re.compile(f"{first}{middle}(.+){last}", re.DOTALL)
