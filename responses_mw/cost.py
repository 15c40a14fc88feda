"""What a response cost: prices of a deployment's own, else of a kept list, in nano-dollars.

A price that nobody told is unknown, and then so is the cost: never zero. The list is the package
`genai-prices`, data and no network; it is imported only here, and only when it is first needed.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from responses_mw import fees
from responses_mw.deltas import UsageReported
from responses_mw.errors import ConfigurationError
from responses_mw.fees import NO_USES, Uses

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

NANO = 1_000_000_000
_MILLION = 1_000_000

_CLOUDS: Mapping[str, str] = {
    "azure": "azure",
    "azure_ai": "azure",
    "bedrock": "aws",
    "bedrock_mantle": "aws",
    "vertex_ai": "google",
}
"""Whose addresses are an account's own. All others are known by their address alone: a name such as
`openai` may stand before anybody's server."""


_NAMES: Mapping[str, str] = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
    "request": "input_cost_per_request",
}
"""What LiteLLM calls them."""
_BESIDE = ("cache_read", "cache_write", "cache_write_1h", "reasoning")
"""What an operator may price alone, beside the list's other prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Dollars per token; None is unknown. Tokens read from or written to a cache and reasoning cost
    what other input and output does, unless they have a price; those written for an hour what
    others do that are written. `request` is for each response, `fees` for each use of a tool."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    request: Decimal = Decimal(0)
    fees: Mapping[str, Decimal] = field(default_factory=dict)

    @classmethod
    def told(cls, named: Mapping[str, float]) -> "Prices":
        """From a configuration's numbers, whose digits are meant as they were written. Raises
        ConfigurationError."""
        for name, price in named.items():
            number = isinstance(price, (int, float)) and not isinstance(price, bool)
            if not number or not 0 <= price < float("inf"):
                raise ConfigurationError(f"{name} is {price!r}; a price is a number from 0 on")
        said = {ours: named.get(theirs) for ours, theirs in _NAMES.items()}
        known = {name: Decimal(str(price)) for name, price in said.items() if price is not None}
        return cls(**known, fees=fees.told(named))

    def cost_nano(self, usage: UsageReported, uses: Uses = NO_USES) -> int | None:
        """None if tokens or tools were used that have no price."""
        terms = self._terms(usage, uses)
        if any(price is None for _, price in terms):
            return None
        return self._nano(terms)

    def known_nano(self, usage: UsageReported, uses: Uses = NO_USES) -> int:
        """What of it has a price."""
        return self._nano(self._terms(usage, uses))

    def _nano(self, terms: "Sequence[_Term]") -> int:
        known = (price * count for count, price in terms if price is not None)
        return int((sum(known, self.request) * NANO).to_integral_value())

    def _terms(self, usage: UsageReported, uses: Uses) -> "list[_Term]":
        cached, written = usage.cached_tokens, usage.cache_write_tokens
        thought = min(usage.reasoning_tokens, usage.output_tokens)
        write = self.input if self.cache_write is None else self.cache_write
        hours = usage.cache_write_1h_tokens
        terms = [
            (max(usage.input_tokens - cached - written, 0), self.input),
            (cached, self.input if self.cache_read is None else self.cache_read),
            (written - hours, write),
            (hours, write if self.cache_write_1h is None else self.cache_write_1h),
            (usage.output_tokens - thought, self.output),
            (thought, self.output if self.reasoning is None else self.reasoning),
            *((count, self.fees.get(use)) for use, count in uses.items()),
        ]
        return [term for term in terms if term[0]]


_Term = tuple[int, Decimal | None]
"""How many, and the price of one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is asked: what the price list knows it by."""

    provider: str
    base_url: str


class Priced(Protocol):
    """A deployment. `prices` are its own, under LiteLLM's names. It may have a `base_model`: what
    it is in truth (`provider/name`), where its address and name do not tell."""

    @property
    def prices(self) -> Mapping[str, float]: ...
    @property
    def model(self) -> str | None: ...
    @property
    def provider(self) -> object: ...


class PriceList:
    """The kept list. The first question reads it, unless `load_for` did."""

    def __init__(self) -> None:
        self._models: dict[tuple[Place | None, str], ModelInfo | None] = {}
        self._rates: dict[int, tuple[ModelPrice, _Rates]] = {}
        self._loaded = False

    async def load_for(self, deployment: Priced) -> None:
        """Reads the list if this deployment needs it: a fifth of a second, once, in a thread."""
        own = deployment.prices
        told = _NAMES["input"] in own or _NAMES["output"] in own
        if not self._loaded and not told and _named(deployment, None)[1]:
            await asyncio.to_thread(_snapshot)
            self._loaded = True

    def of(
        self,
        deployment: Priced,
        *,
        reported: str | None = None,
        input_tokens: int = 0,
        tier: str | None = None,
        at: datetime | None = None,
    ) -> Prices | None:
        """What a deployment costs: its own prices, or the list's with what it says of caches and
        reasoning. `reported` is what the upstream called the model that answered."""
        own = Prices.told(deployment.prices) if deployment.prices else None
        if own is not None and (own.input is not None or own.output is not None):
            return own
        place, models = _named(deployment, reported)
        listed = self.prices(place, models, input_tokens=input_tokens, tier=tier, at=at)
        if own is None or listed is None:
            return listed
        said = {name: getattr(own, name) for name in _BESIDE}
        known = {name: price for name, price in said.items() if price is not None}
        return replace(listed, **known, fees={**listed.fees, **own.fees})

    def prices(
        self,
        place: Place | None,
        models: Iterable[str],
        *,
        input_tokens: int = 0,
        tier: str | None = None,
        at: datetime | None = None,
    ) -> Prices | None:
        """Of the first of `models` that the list knows at this place, now and for an input of this
        length. `place` None: each model is `provider/name`."""
        for model in models:
            found = self._model(place, model)
            if found is not None:
                context = None if tier in (None, "default", "auto") else {"service_tier": tier}
                price = found.get_prices(at or datetime.now(UTC), context)
                return self._rates_of(price, shared=context is None).prices(input_tokens)
        return None

    def _model(self, place: Place | None, model: str) -> "ModelInfo | None":
        if (place, model) not in self._models:
            if len(self._models) > 1000:  # names may come from clients, by a wildcard
                self._models.clear()
            self._models[place, model] = _lookup(place, model)
        return self._models[place, model]

    def _rates_of(self, price: "ModelPrice", *, shared: bool) -> "_Rates":
        """Those of the list itself live as long as it does; those made for a tier do not."""
        if not shared:
            return _Rates(price)
        if id(price) not in self._rates:
            self._rates[id(price)] = (price, _Rates(price))
        return self._rates[id(price)][1]


def _named(deployment: Priced, reported: str | None) -> tuple[Place | None, list[str]]:
    """Where the list should look, and for which names."""
    base_model = getattr(deployment, "base_model", None)
    if base_model is not None:
        return None, [base_model]
    base_url = getattr(deployment.provider, "base_url", None)
    if not isinstance(base_url, str):
        return None, []
    names = [name for name in (reported, deployment.model) if name]
    return Place(getattr(deployment.provider, "name", ""), base_url), names


class _Rates:
    """Prices of one model, which may depend on how long its input is."""

    def __init__(self, price: "ModelPrice") -> None:
        listed = {key: value for key, value in vars(price).items() if value is not None}
        starts = {tier.start for value in listed.values() for tier in getattr(value, "tiers", ())}
        self._steps = [(start, _prices(listed, start)) for start in sorted({-1, *starts})]

    def prices(self, input_tokens: int) -> Prices:
        reached = [prices for start, prices in self._steps if input_tokens > start]
        return reached[-1]


def _prices(listed: Mapping[str, Any], start: int) -> Prices:
    """For inputs of more than `start` tokens; what crosses a step pays its price for all."""

    def price(key: str, of: int) -> Decimal | None:
        value = listed.get(key)
        if value is None or isinstance(value, Decimal):
            return None if value is None else value / of
        reached = [tier.price for tier in value.tiers if tier.start <= start]
        return Decimal(reached[-1] if reached else value.base) / of

    def per_token(key: str) -> Decimal | None:
        return price(key, _MILLION)

    return Prices(
        input=per_token("input_mtok"),
        output=per_token("output_mtok"),
        cache_read=per_token("cache_read_mtok"),
        cache_write=per_token("cache_write_mtok"),
        cache_write_1h=per_token("cache_write_1h_mtok"),
        reasoning=per_token("output_reasoning_mtok"),
        request=price("requests_kcount", 1000) or Decimal(0),
        fees=fees.listed(
            price("web_searches_kcount", 1000), price("storage_searches_kcount", 1000)
        ),
    )


def _lookup(place: Place | None, model: str) -> "ModelInfo | None":
    if place is None:
        name, _, model = model.partition("/")
        return _known(model, provider_id=_CLOUDS.get(name, name))
    found = _known(model, url=place.base_url)
    if found is None and place.provider in _CLOUDS:
        found = _known(model, provider_id=_CLOUDS[place.provider])
    return found


def _known(
    model: str, *, provider_id: str | None = None, url: str | None = None
) -> "ModelInfo | None":
    try:
        _, found = _snapshot().find_provider_model(model, None, provider_id, url)
    except LookupError:
        return None
    return found


def _snapshot() -> "DataSnapshot":
    from genai_prices.data_snapshot import get_snapshot  # 0.2 s and 10 MB

    return get_snapshot()
