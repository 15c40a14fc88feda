"""Prices: of the kept list and of a deployment's own, by the hour, by size and by use."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.cost import Place, PriceList, Prices
from responses_mw.deltas import UsageReported
from responses_mw.errors import ConfigurationError
from responses_mw.fees import uses_of
from responses_mw.router import Deployment, Router
from responses_mw.testing import EchoProvider
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Turn

AT = datetime(2026, 11, 1, tzinfo=UTC)
LIST = PriceList()

OWN = Prices(input=Decimal("0.001"), output=Decimal("0.002"))
USED = UsageReported(
    input_tokens=100,
    output_tokens=50,
    cached_tokens=30,
    cache_write_tokens=20,
    reasoning_tokens=10,
)


def openai(prices: Mapping[str, float] = {}, model: str = "gpt-4o") -> Deployment:
    provider = HTTPProvider(OpenAIResponses(), base_url="https://api.openai.com/v1", name="openai")
    return Deployment(provider, model=model, prices=prices)


def test_caches_and_reasoning_cost_as_much_as_the_rest_unless_they_are_priced() -> None:
    every = Prices(
        input=Decimal("0.001"),
        output=Decimal("0.002"),
        cache_read=Decimal("0.0001"),
        cache_write=Decimal("0.00125"),
        reasoning=Decimal("0.004"),
    )

    assert OWN.cost_nano(USED) == 100 * 1_000_000 + 50 * 2_000_000
    assert every.cost_nano(USED) == (
        50 * 1_000_000 + 30 * 100_000 + 20 * 1_250_000 + 40 * 2_000_000 + 10 * 4_000_000
    )


def test_what_has_no_price_is_unknown_and_what_is_free_is_zero() -> None:
    free = Prices(input=Decimal(0), output=Decimal(0))

    assert Prices(input=Decimal(1)).cost_nano(USED) is None
    assert Prices(input=Decimal(1)).cost_nano(UsageReported(1, 0)) == 10**9
    assert free.cost_nano(USED) == 0
    assert LIST.of(openai(model="nobody-knows-this-model")) is None
    assert LIST.of(Deployment(EchoProvider())) is None


@pytest.mark.parametrize("price", [-1e-6, float("nan"), float("inf"), "1e-6", None, True])
def test_what_is_no_price_stops_the_start(price: Any) -> None:
    with pytest.raises(ConfigurationError, match="input_cost_per_token"):
        Router({"m": Deployment(EchoProvider(), prices={"input_cost_per_token": price})})


def test_a_deployments_own_prices_stand_alone() -> None:
    told = {"input_cost_per_token": 1e-3, "output_cost_per_token": 2e-3}

    assert LIST.of(openai(told)) == OWN


def test_a_price_of_caches_alone_is_put_into_the_list() -> None:
    listed = LIST.of(openai(), at=AT)
    mixed = LIST.of(openai({"cache_read_input_token_cost": 0.5}), at=AT)

    assert listed is not None
    assert mixed is not None
    assert mixed.cache_read == Decimal("0.5") != listed.cache_read
    assert (mixed.input, mixed.output) == (listed.input, listed.output)


def test_the_base_model_says_what_an_address_and_a_name_do_not() -> None:
    behind = HTTPProvider(OpenAIResponses(), base_url="http://10.0.0.1/v1", name="openai")

    unnamed = LIST.of(Deployment(behind, model="gpt-4o"))
    named = LIST.of(Deployment(behind, model="ours", base_model="openai/gpt-4o"), at=AT)

    assert unnamed is None
    assert named == LIST.of(openai(), at=AT)


def test_long_inputs_and_service_tiers_have_their_own_prices() -> None:
    gemini = Place("gemini", "https://generativelanguage.googleapis.com/v1beta")
    asked = {"place": gemini, "models": ["gemini-2.5-pro"], "at": AT}

    short, long = (
        LIST.prices(**asked, input_tokens=200_000),
        LIST.prices(**asked, input_tokens=200_001),
    )
    place = Place("openai", "https://api.openai.com/v1")
    usual = LIST.prices(place, ["gpt-5.1"], at=AT, tier="default")
    hasty = LIST.prices(place, ["gpt-5.1"], at=AT, tier="priority")

    assert short is not None
    assert long is not None
    assert (short.input, long.input) == (Decimal("1.25e-6"), Decimal("2.5e-6"))
    assert usual is not None
    assert hasty is not None
    assert usual.input is not None
    assert hasty.input is not None
    assert hasty.input > usual.input


def test_prices_may_depend_on_the_hour() -> None:
    place = Place("deepseek", "https://api.deepseek.com/v1")
    night, noon = AT.replace(hour=2), AT.replace(hour=12)

    dear = LIST.prices(place, ["deepseek-v4-flash"], at=night)
    usual = LIST.prices(place, ["deepseek-v4-flash"], at=noon)

    assert dear is not None
    assert usual is not None
    assert (dear.output, usual.output) == (Decimal("1.2e-6"), Decimal("0.6e-6"))


def test_nothing_is_imported_before_a_price_is_asked_for() -> None:
    check = "import sys, responses_mw.app; assert 'genai_prices' not in sys.modules"

    subprocess.run([sys.executable, "-c", check], check=True, cwd=Path(__file__).parents[1])


# --- caches that are kept for an hour

ANTHROPIC_USAGE = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 1500,
    "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1000},
    "cache_read_input_tokens": 2000,
    "output_tokens": 50,
}
SONNET = Place("anthropic", "https://api.anthropic.com")
BY_THE_HOUR = 9_525_000
"""100 x 3 + 500 x 3.75 + 1000 x 6 + 2000 x 0.3 + 50 x 15 = 300 + 1875 + 6000 + 600 + 750."""


def reported(adapter: Adapter, body: dict[str, Any]) -> UsageReported:
    deltas = adapter.decode(json.dumps(body).encode(), Turn(model="m", spans=()))
    return [delta for delta in deltas if isinstance(delta, UsageReported)][-1]


def anthropic(usage: dict[str, Any]) -> UsageReported:
    content = [{"type": "text", "text": "hi"}]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    body = {**message, "content": content, **ended, "usage": usage}
    return reported(AnthropicMessages(), body)


def test_an_hour_in_anthropics_cache_costs_twice_what_input_does() -> None:
    usage = anthropic(ANTHROPIC_USAGE)
    prices = LIST.prices(SONNET, ["claude-sonnet-4-5"], at=AT)

    assert prices is not None
    assert prices.cost_nano(usage) == BY_THE_HOUR
    assert replace(prices, cache_write_1h=None).cost_nano(usage) == BY_THE_HOUR - 2_250_000


def test_an_hour_in_bedrocks_cache_costs_more_too() -> None:
    usage = {
        "inputTokens": 100,
        "outputTokens": 50,
        "totalTokens": 3650,
        "cacheReadInputTokens": 2000,
        "cacheWriteInputTokens": 1500,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 500}, {"ttl": "1h", "inputTokens": 1000}],
    }
    message = {"role": "assistant", "content": [{"text": "hi"}]}
    body = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    prices = LIST.prices(SONNET, ["claude-sonnet-4-5"], at=AT)

    assert prices is not None
    assert prices.cost_nano(reported(BedrockConverse(), body)) == BY_THE_HOUR


@pytest.mark.parametrize("odd", ["1000", -1, 1501, 1.5, None, True])
def test_an_hour_that_cannot_be_is_counted_as_usual(odd: object) -> None:
    usage = anthropic({**ANTHROPIC_USAGE, "cache_creation": {"ephemeral_1h_input_tokens": odd}})

    assert usage.cache_write_1h_tokens == 0
    assert usage.cache_write_tokens == 1500


def test_hours_are_summed_where_an_answer_took_two_requests() -> None:
    one = anthropic(ANTHROPIC_USAGE)
    two = UsageReported(10, 10, cache_write_tokens=5).with_hours(5)

    assert one.plus(two).cache_write_1h_tokens == 1005
    assert one.plus(UsageReported(1, 1)).cache_write_1h_tokens == 1000


# --- tools that are paid by use


def called(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "status": "completed", **fields}


def test_what_is_paid_by_use_is_counted_in_the_answer() -> None:
    search = {"type": "search", "query": "q"}
    output = [
        called("reasoning"),
        called("web_search_call", action=search),
        called("web_search_call", action=search, status="failed"),
        called("web_search_call", action={"query": "q"}),
        called("web_search_call", action={"type": "open_page", "url": "u"}),
        called("web_search_call", action=search),
        called("code_interpreter_call", container_id="c1"),
        called("code_interpreter_call", container_id="c1"),
        called("code_interpreter_call", container_id="c2"),
        called("x_search_call"),
        called("file_search_call"),
        called("image_generation_call"),
        called("mcp_call"),
        called("message"),
    ]

    assert uses_of(output, [{"type": "web_search", "search_context_size": "high"}]) == {
        "web_search high": 4,
        "code_interpreter": 2,
        "file_search": 1,
        "image_generation": 1,
    }
    assert uses_of(output[-2:], []) == {}


def test_a_search_may_cost_more_the_more_it_reads() -> None:
    told = {f"search_context_size_{size}": price for size, price in SIZES.items()}
    prices = Prices.told({"input_cost_per_token": 0.0, "output_cost_per_token": 0.0, **told})
    found = {size: prices.cost_nano(USED, {f"web_search {size}": 3}) for size in SIZES}

    assert found == {"low": 90_000_000, "medium": 105_000_000, "high": 150_000_000}


SIZES = {"low": 0.03, "medium": 0.035, "high": 0.05}


def test_an_operators_fee_stands_beside_the_lists_prices() -> None:
    listed = LIST.of(openai(), at=AT)
    mixed = LIST.of(openai({"search_context_cost_per_query": 0.025}), at=AT)
    one = {"web_search medium": 1}

    assert listed is not None
    assert mixed is not None
    assert listed.cost_nano(UsageReported(0, 0), one) == 10_000_000
    assert mixed.cost_nano(UsageReported(0, 0), one) == 25_000_000
    assert mixed.fees["file_search"] == listed.fees["file_search"] == Decimal("0.0025")


def test_what_is_known_of_an_unknown_sum_is_told_apart() -> None:
    uses = {"code_interpreter": 1}

    assert OWN.cost_nano(USED, uses) is None
    assert OWN.known_nano(USED, uses) == OWN.cost_nano(USED)
