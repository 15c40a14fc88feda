"""Costs: what recorded usage comes to, by hand and by the vendors' own figures.

The prices are written out here, in dollars per million tokens; where the kept list changes one,
this fails and says so.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest
from cases import Recording, needs_recordings, recorded

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import PARSERS, Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import DIALECTS, GENERIC
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.cost import PriceList
from responses_mw.deltas import Canonical, Delta, OutputItem, UpstreamInfo, UsageReported
from responses_mw.errors import UpstreamError
from responses_mw.fees import uses_of
from responses_mw.router import Deployment
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Turn

AT = datetime(2026, 11, 1, tzinfo=UTC)
LIST = PriceList()


# In nano-dollars. Behind each stands how it was computed, in millionths of a dollar: tokens times
# what the vendor's price page says of a million of them. Input that was neither read from nor
# written to a cache comes first, then what was read, written, and the output.
HAND = {
    # 26 x 0.05 + 135 x 0.4 = 1.3 + 54
    "azure/chatlas-provider-azure-azure-simple-request-0": 55_300,
    # 60 x 0.2 + 159 x 0.05 + 45 x 0.5 = 12 + 7.95 + 22.5
    "azure_ai/ruby-llm-chat-function-calling-azure-grok-4-1-fast-non-reasoning-can-handle-multiple"
    "-tool-0": 42_450,
    # 3 x 3.3 + 2074 x 0.33 + 297 x 4.125 + 61 x 16.5 = 9.9 + 684.42 + 1225.125 + 1006.5
    "bedrock/pydantic-ai-bedrock-bedrock-cache-messages-with-image-as-last-content-1": 2_925_945,
    # 3 x 1.1 + 9511 x 0.11 + 1956 x 1.375 + 44 x 5.5 = 3.3 + 1046.21 + 2689.5 + 242
    "bedrock_invoke_anthropic/pydantic-ai-anthropic-anthropic-cache-bedrock-real-api-1": 3_981_010,
    # 93 x 5.5 + 17 x 33 = 511.5 + 561
    "bedrock_mantle/pydantic-ai-bedrock-mantle-reused-tool-call-ids-gpt-5-5-3": 1_072_500,
    # 17 x 2.25 + 415 x 2.75 = 38.25 + 1141.25
    "cerebras/pydantic-ai-cerebras-cerebras-zai-reasoning-replayed-as-think-tags-0": 1_179_500,
    # 97 x 0.15 + 256 x 0.003 + 23 x 0.6 = 14.55 + 0.768 + 13.8
    "deepseek/chatlas-provider-deepseek-deepseek-tool-variations-1": 29_118,
    # 52 x 0.15 + 128 x 0.003 + 40 x 0.6 = 7.8 + 0.384 + 24
    "deepseek_responses/pydantic-ai-deepseek-responses-deepseek-responses-replay-own-reasoning"
    "-history-0": 32_184,
    # 13 x 0.3 + 9609 x 0.03 + 171 x 2.5 = 3.9 + 288.27 + 427.5
    "gemini/ruby-llm-cachedcontent-explicit-caching-round-trip-gemini-gemini-2-5-flash-creates"
    "-uses-e-1": 719_670,
    # 35 x 1.25 + 12 x 10 = 43.75 + 120
    "gemini_openai_compat/pydantic-ai-openai-compatible-api-with-tool-calls-without-id-0": 163_750,
    # 80 x 0.15 + 256 x 0.075 + 96 x 0.6 = 12 + 19.2 + 57.6
    "groq/pydantic-ai-groq-tool-use-failed-error-2": 88_800,
    # 448 x 0.25 + 38 x 0.75 = 112 + 28.5
    "huggingface/pydantic-ai-huggingface-image-as-binary-content-input-0": 140_500,
    # 31 x 0.15 + 128 x 0.015 + 28 x 0.6 = 4.65 + 1.92 + 16.8
    "mistral/ruby-llm-chat-function-calling-mistral-mistral-small-lacan-use-tools-with-multi-turn"
    "-stre-0": 23_370,
    # 110 x 2.5 + 6 x 15 = 275 + 90
    "openai/chatlas-provider-openai-openai-document-0": 365_000,
    # 140 x 2.5 + 1280 x 1.25 + 100 x 10 = 350 + 1600 + 1000
    "openai_chat/dd-trace-py-v1-chat-completion-stream-prompt-caching-cache-read-0": 2_950_000,
    # 1 x 3 + 2569 x 0.3 + 79 x 3.75 + 100 x 15 = 3 + 770.7 + 296.25 + 1500
    "openrouter/pydantic-ai-cache-openrouter-cache-all-settings-real-api-1": 2_569_950,
    # 8 x 4 + 4012 x 0.4 + 5 x 20 = 32 + 1604.8 + 100
    "openrouter_responses/pydantic-ai-openai-prompt-cache-openrouter-responses-prompt-cache-e2e"
    "-1": 1_736_800,
    # 20 x 1 + 5 x 1 + 12000 for the request = 20 + 5 + 12000
    "perplexity/ruby-llm-chat-with-params-perplexity-sonar-supports-json-schema-response-format"
    "-param-0": 12_025_000,
    # 44 x 0.88 + 23 x 0.88 = 38.72 + 20.24
    "together/mirascope-together-provider-meta-llama-llama-3-3-70b-instruct-turbo-0": 58_960,
    # 11 x 0.3 + 9602 x 0.03 + 72 x 2.5 = 3.3 + 288.06 + 180
    "vertex_ai/ruby-llm-cachedcontent-explicit-caching-round-trip-vertexai-gemini-2-5-flash"
    "-creates-uses-3": 471_360,
    # 175 x 1.25 + 128 x 0.2 + 272 x 2.5 = 218.75 + 25.6 + 680
    "xai_responses/ruby-llm-chat-function-calling-xai-grok-4-1-fast-non-reasoning-can-handle"
    "-multiple-tool-c-0": 924_350,
    # 431 x 0.3 + 4 x 0.05 + 73 x 0.9 = 129.3 + 0.2 + 65.7
    "zai/pydantic-ai-zai-zai-vision-thinking-0": 195_200,
    # Tools that are paid by use. 11642 x 1 + 141 x 5 = 11642 + 705, a search for 10000
    "anthropic/ruby-llm-chat-web-search-with-anthropic-claude-haiku-4-5-searches-cites-and-reports"
    "-tool-0": 22_347_000,
    # 310 x 2 + 290 x 8 = 620 + 2320, a search for 10000
    "openai/openinference-responses-responses-websearch-input-0": 12_940_000,
    # 1177 x 2.5 + 37 x 10 = 2942.5 + 370, a search of files for 2500
    "openai/pydantic-ai-openai-responses-openai-responses-model-file-search-tool-stream-3": (
        5_812_500
    ),
}
TOLD: dict[str, tuple[dict[str, float], int]] = {
    # 16 x 2 + 13637 x 0.2 + 7049 x 2.5 + 344 x 10 = 32 + 2727.4 + 17622.5 + 3440; some hours of
    # containers are free at Anthropic.
    "anthropic/pydantic-ai-code-execution-files-vcr-anthropic-code-execution-files-cache-prefix"
    "-stable-mess-1": ({"code_interpreter_cost_per_session": 0}, 23_821_900),
    # 213 x 1.25 + 1280 x 0.125 + 125 x 10 = 266.25 + 160 + 1250, a container for 30000
    "openai/pydantic-ai-openai-responses-openai-responses-thinking-with-code-execution-tool-0": (
        {"code_interpreter_cost_per_session": 0.03},
        31_676_250,
    ),
    # 3641 x 1.25 + 2048 x 0.2 + 444 x 2.5 = 4551.25 + 409.6 + 1110, two searches for 5000 each.
    # xAI's own figure for it, in the answer, is the same.
    "xai_responses/ruby-llm-chat-web-search-with-xai-grok-4-3-replays-search-turns-so-the"
    "-conversation-can-c-0": ({"search_context_cost_per_query": 0.005}, 16_070_850),
}
UNPRICED = {
    "crusoe": "nobody lists its prices",
    "gpustack_vllm": "a server of one's own",
    "heroku": "nobody lists its prices",
    "local_llamacpp": "a server of one's own",
    "local_llamacpppython": "a server of one's own",
    "local_vllm": "a server of one's own",
    "ollama": "a server of one's own",
    "ollama_cloud": "it is paid by the month",
    "snowflake": "it is paid in credits",
    "vllm_chat": "a server of one's own",
    "vllm_responses": "a server of one's own",
}
UNREAD = {
    "anthropic_count": "nothing was generated",
    "cohere": "recorded at an address that is not called",
    "lmstudio_responses": "fixtures without usage",
    "openai_misc": "nothing was generated",
}


@needs_recordings
def test_every_provider_with_recordings_was_computed_or_has_no_price() -> None:
    recordings = recorded()
    computed = {id.partition("/")[0] for id in HAND}

    assert computed | {*UNPRICED} | {*UNREAD} >= {found.provider for found in recordings}
    assert not computed & {*UNPRICED}


@needs_recordings
@pytest.mark.parametrize("id", HAND)
def test_a_recorded_answer_costs_what_was_computed_by_hand(id: str) -> None:
    recording = next(found for found in recorded(id.partition("/")[0]) if found.id == id)

    assert cost(recording) == HAND[id]


@needs_recordings
@pytest.mark.parametrize("id", TOLD)
def test_a_tool_whose_fee_nobody_knows_makes_the_sum_unknown_until_its_price_is_told(
    id: str,
) -> None:
    recording = next(found for found in recorded(id.partition("/")[0]) if found.id == id)
    prices, nano = TOLD[id]

    assert cost(recording) is None
    assert cost(recording, prices) == nano


@needs_recordings
@pytest.mark.parametrize(("provider", "at_least"), [("openrouter", 12), ("xai_responses", 9)])
def test_costs_are_those_that_the_vendor_stated_itself(provider: str, at_least: int) -> None:
    """Both vendors write the price of an answer into it. One of each used a search, whose fee
    nobody lists."""
    answers = [recording for recording in recorded(provider, status=200) if _usage(recording)]
    stated = [(recording, _stated(recording)) for recording in answers]
    pairs = [(cost(recording), theirs) for recording, theirs in stated if theirs is not None]

    close = [abs((ours or 0) - theirs) <= 1000 for ours, theirs in pairs]  # they round

    assert sum(close) >= at_least
    assert len(pairs) <= at_least + 1


@needs_recordings
@pytest.mark.parametrize("provider", UNPRICED)
def test_who_has_no_price_costs_an_unknown_sum_whatever_the_models_are_called(
    provider: str,
) -> None:
    answers = [recording for recording in recorded(provider, status=200) if _usage(recording)]

    assert answers
    assert {cost(recording) for recording in answers} == {None}


@dataclass
class Asked:
    adapter: Adapter
    model: str | None


def cost(recording: Recording, told: Mapping[str, float] = {}) -> int | None:
    """As the application does it: by where the model was asked, and what it said it was."""
    usage = _usage(recording)
    assert usage is not None
    asked, deltas = _asked(recording), _deltas(recording)
    reported = [delta.model for delta in deltas if isinstance(delta, UpstreamInfo)]
    provider = HTTPProvider(AnthropicMessages(), base_url=recording.url, name=asked.adapter.name)
    if recording.provider == "bedrock_mantle":
        provider.name = "bedrock_mantle"
    known = [model for model in reported if model]
    prices = LIST.of(
        Deployment(provider, model=asked.model, prices=told),
        reported=known[-1] if known else None,
        input_tokens=usage.input_tokens,
        at=AT,
    )
    tools = (recording.request or {}).get("tools") or []
    return None if prices is None else prices.cost_nano(usage, uses_of(_items(deltas), tools))


def _items(deltas: Sequence[Delta]) -> list[Mapping[str, Any]]:
    """What hosted tools did."""
    found: list[Mapping[str, Any]] = []
    for delta in deltas:
        match delta:
            case OutputItem(item):
                found.append(item)
            case Canonical({"type": "response.output_item.done", "item": item}):
                found.append(item)
    return found


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
        case "bedrock_invoke_anthropic":
            found = re.search(r"/model/([^/]+)/", recording.url)
            return Asked(BedrockInvoke(), found and unquote(found[1]))
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
