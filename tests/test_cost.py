"""Costs: what recorded usage comes to, by hand and by the vendors' own figures.

The prices are written out here, in dollars per million tokens; where the kept list changes one,
this fails and says so.
"""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cases import Recording, needs_recordings, recorded

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import PARSERS, Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import DIALECTS, GENERIC
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.cost import Place, PriceList, Prices
from responses_mw.deltas import Delta, UpstreamInfo, UsageReported
from responses_mw.errors import ConfigurationError, UpstreamError
from responses_mw.router import Deployment, Router
from responses_mw.testing import EchoProvider
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Turn

AT = datetime(2026, 11, 1, tzinfo=UTC)
LIST = PriceList()


def dollars(*terms: tuple[int, str], request: str = "0") -> int:
    """Nano-dollars of tokens at prices per million, and of one request."""
    total = sum(count * Decimal(price) for count, price in terms) / 1_000_000 + Decimal(request)
    return int(total * 10**9)


# Input that was neither read from nor written to a cache, cached, written, output; then what the
# vendor's price page says of each.
HAND = {
    "anthropic/pydantic-ai-code-execution-files-vcr-anthropic-code-execution-files-cache-prefix"
    "-stable-mess-1": dollars((16, "2"), (13637, "0.2"), (7049, "2.5"), (344, "10")),
    "azure/chatlas-provider-azure-azure-simple-request-0": dollars((26, "0.05"), (135, "0.4")),
    "bedrock/pydantic-ai-bedrock-bedrock-cache-messages-with-image-as-last-content-1": dollars(
        (3, "3.3"), (2074, "0.33"), (297, "4.125"), (61, "16.5")
    ),
    "bedrock_mantle/pydantic-ai-bedrock-mantle-reused-tool-call-ids-gpt-5-5-3": dollars(
        (93, "5.5"), (17, "33")
    ),
    "cerebras/pydantic-ai-cerebras-cerebras-zai-reasoning-replayed-as-think-tags-0": dollars(
        (17, "2.25"), (415, "2.75")
    ),
    "deepseek/chatlas-provider-deepseek-deepseek-tool-variations-1": dollars(
        (97, "0.15"), (256, "0.003"), (23, "0.6")
    ),
    "gemini/ruby-llm-cachedcontent-explicit-caching-round-trip-gemini-gemini-2-5-flash-creates"
    "-uses-e-1": dollars((13, "0.3"), (9609, "0.03"), (171, "2.5")),
    "groq/pydantic-ai-groq-tool-use-failed-error-2": dollars(
        (80, "0.15"), (256, "0.075"), (96, "0.6")
    ),
    "huggingface/pydantic-ai-huggingface-image-as-binary-content-input-0": dollars(
        (448, "0.25"), (38, "0.75")
    ),
    "mistral/ruby-llm-chat-function-calling-mistral-mistral-small-lacan-use-tools-with-multi-turn"
    "-stre-0": dollars((31, "0.15"), (128, "0.015"), (28, "0.6")),
    "openai/pydantic-ai-openai-responses-openai-responses-thinking-with-code-execution-tool"
    "-0": dollars((213, "1.25"), (1280, "0.125"), (125, "10")),
    "openai_chat/dd-trace-py-v1-chat-completion-stream-prompt-caching-cache-read-0": dollars(
        (140, "2.5"), (1280, "1.25"), (100, "10")
    ),
    "openrouter/pydantic-ai-cache-openrouter-cache-all-settings-real-api-1": dollars(
        (1, "3"), (2569, "0.3"), (79, "3.75"), (100, "15")
    ),
    "perplexity/ruby-llm-chat-with-params-perplexity-sonar-supports-json-schema-response-format"
    "-param-0": dollars((20, "1"), (5, "1"), request="0.012"),
    "together/mirascope-together-provider-meta-llama-llama-3-3-70b-instruct-turbo-0": dollars(
        (44, "0.88"), (23, "0.88")
    ),
    "vertex_ai/ruby-llm-cachedcontent-explicit-caching-round-trip-vertexai-gemini-2-5-flash"
    "-creates-uses-3": dollars((11, "0.3"), (9602, "0.03"), (72, "2.5")),
    "xai_responses/ruby-llm-chat-function-calling-xai-grok-4-1-fast-non-reasoning-can-handle"
    "-multiple-tool-c-0": dollars((175, "1.25"), (128, "0.2"), (272, "2.5")),
    "zai/pydantic-ai-zai-zai-vision-thinking-0": dollars((431, "0.3"), (4, "0.05"), (73, "0.9")),
}


@needs_recordings
@pytest.mark.parametrize("id", HAND)
def test_a_recorded_answer_costs_what_was_computed_by_hand(id: str) -> None:
    recording = next(found for found in recorded(id.partition("/")[0]) if found.id == id)

    assert cost(recording) == HAND[id]


@needs_recordings
@pytest.mark.parametrize(("provider", "at_least"), [("openrouter", 12), ("xai_responses", 9)])
def test_costs_are_those_that_the_vendor_stated_itself(provider: str, at_least: int) -> None:
    """Both vendors write the price of an answer into it. One of each used a search, whose fee is
    the vendor's own."""
    answers = [recording for recording in recorded(provider, status=200) if _usage(recording)]
    stated = [(recording, _stated(recording)) for recording in answers]
    pairs = [(cost(recording), theirs) for recording, theirs in stated if theirs is not None]

    close = [abs((ours or 0) - theirs) <= 1000 for ours, theirs in pairs]  # they round

    assert sum(close) >= at_least
    assert len(pairs) <= at_least + 1


@needs_recordings
@pytest.mark.parametrize("provider", ["gpustack_vllm", "vllm_responses", "vllm_chat", "ollama"])
def test_servers_of_ones_own_have_no_price_whatever_their_models_are_called(provider: str) -> None:
    answers = [recording for recording in recorded(provider, status=200) if _usage(recording)]

    assert answers
    assert {cost(recording) for recording in answers} == {None}


@dataclass
class Asked:
    adapter: Adapter
    model: str | None


def cost(recording: Recording) -> int | None:
    """As the application does it: by where the model was asked, and what it said it was."""
    usage = _usage(recording)
    assert usage is not None
    reported = [delta.model for delta in _deltas(recording) if isinstance(delta, UpstreamInfo)]
    provider = HTTPProvider(
        AnthropicMessages(), base_url=recording.url, name=_asked(recording).adapter.name
    )
    deployment = Deployment(provider, model=_asked(recording).model)
    if recording.provider == "bedrock_mantle":
        provider.name = "bedrock_mantle"
    known = [model for model in reported if model]
    prices = LIST.of(
        deployment,
        reported=known[-1] if known else None,
        input_tokens=usage.input_tokens,
        at=AT,
    )
    return None if prices is None else prices.cost_nano(usage)


def _usage(recording: Recording) -> UsageReported | None:
    found = [delta for delta in _deltas(recording) if isinstance(delta, UsageReported)]
    return found[-1] if found else None


def _deltas(recording: Recording) -> list[Delta]:
    asked = _asked(recording)
    turn = Turn(model=asked.model or "recorded", spans=(), stream=recording.streamed)
    deltas: list[Delta] = []
    with contextlib.suppress(UpstreamError):  # what was used until then is used
        if recording.streamed:
            deltas.extend(_stream(asked.adapter, turn, recording.body))
        else:
            deltas.extend(asked.adapter.decode(recording.body, turn))
    return deltas


def _stream(adapter: Adapter, turn: Turn, body: bytes) -> Iterator[Delta]:
    decoder = adapter.decoder(turn)
    for event in PARSERS[adapter.framing]().feed(body):
        yield from decoder.feed(event)
    yield from decoder.close()


def _asked(recording: Recording) -> Asked:
    model = (recording.request or {}).get("model")
    match recording.provider:
        case "anthropic":
            return Asked(AnthropicMessages(), model)
        case "bedrock":
            found = re.search(r"/model/([^/]+)/", recording.url)
            return Asked(BedrockConverse(), found and unquote(found[1]))
        case "gemini" | "vertex_ai":
            return Asked(Gemini(), model)
    if "/responses" in recording.url:
        return Asked(OpenAIResponses(), model)
    return Asked(ChatCompletions(DIALECTS.get(recording.provider, GENERIC)), model)


def _stated(recording: Recording) -> int | None:
    ticks = re.findall(rb'"cost_in_usd_ticks":\s*(\d+)', recording.body)
    if ticks:
        return int(ticks[-1]) // 10
    stated = re.findall(rb'"cost":\s*([0-9.eE-]+)', recording.body)
    return int(Decimal(stated[-1].decode()) * 10**9) if stated else None


# --- prices of a deployment's own


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
