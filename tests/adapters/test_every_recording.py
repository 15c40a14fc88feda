"""The account of MANIFEST.json: each recorded exchange is claimed by the tests that read it, or is
left out for a written reason.

What "read" means is in those tests: a good answer is decoded whole, byte by byte and cut short, and
is held to the table of what it says; a refusal is translated; a count is a number.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import bedrock_cases
import gemini_cases
import messages_cases
import pytest
import responses_cases
import test_chat_recordings as chats
from cases import SHARED, Recording, needs_recordings, recorded

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import OLLAMA
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.errors import UpstreamRefused

OWN_FORMAT = "Cohere's own v2 format; it is asked by its compatible one, which nobody recorded"
COMPACTED = "an answer of OpenAI's /responses/compact, which is not asked: compaction is done here"
COMPLETION = "an API that Messages replaced: text, not messages"
LEFT_OUT: Mapping[str, str] = {
    **{recording.id: OWN_FORMAT for recording in recorded("cohere")},
    **{r.id: COMPACTED for r in recorded("openai_misc") if r.url.endswith("/compact")},
    **dict.fromkeys(bedrock_cases.COMPLETIONS, COMPLETION),
}

TRANSLATED: Mapping[str, tuple[Adapter, int, str | None]] = {
    "anthropic_count/pydantic-ai-anthropic-anthropic-count-tokens-error-0": (
        AnthropicMessages(), 404, "model_not_found",
    ),
    "ollama/openinference-instrumentor-chat-error-records-model-name-0": (
        ChatCompletions(OLLAMA), 404, "model_not_found",
    ),
    "openai/fx-reasoning-model-temperature-error": (OpenAIResponses(), 400, None),
}  # fmt: skip
"""Refusals at addresses of their own, with the status and code that they become."""
COUNTED: Mapping[str, int] = {
    "openai_misc/ellmer-vcr-openai-count-tokens-5": 60,
    "openai_misc/pydantic-ai-openai-responses-responses-count-tokens-with-tools-0": 51,
}

TABLES = ("anthropic", "bedrock", "bedrock_invoke_anthropic", "chat", "gemini", "responses",
          "vertex_ai")  # fmt: skip
BROKEN = {*chats.FAILED, messages_cases.SPLICED}
"""Answers that fail as they must: there is nothing to say of them but that."""


def claims() -> Mapping[str, list[Recording]]:
    """By the test module that reads them."""
    refused = [r for r in recorded("anthropic") if r.status >= 400]
    counted = recorded("anthropic_count", status=200)
    here = [r for r in recorded() if r.id in {*TRANSLATED, *COUNTED}]
    return {
        "test_chat_recordings": [*chats.WHOLE, *chats.STREAMED, *chats.REFUSED],
        "test_anthropic_recordings": [*messages_cases.ALL, *refused],
        "test_gemini_recordings": gemini_cases.EVERY,
        "test_bedrock_recordings": [*bedrock_cases.ANSWERS, *bedrock_cases.REFUSALS],
        "test_responses_recordings": [*responses_cases.ANSWERS, *responses_cases.REFUSALS],
        "test_counting": counted,
        "test_every_recording": here,
    }


STREAMS = [
    *chats.STREAMED,
    *messages_cases.STREAMS,
    *gemini_cases.STREAMS,
    *bedrock_cases.STREAMS,
    *responses_cases.STREAMS,
]
"""Those that the tests feed byte by byte, and cut."""
EVERY_CUT = {
    *(str(r) for r in chats.EVERY_CUT),
    *messages_cases.ONE_PER_FEATURE,
    *(str(r) for r in gemini_cases.EVERY_CUT),
    *(str(r) for r in bedrock_cases.EVERY_CUT),
    *(str(r) for r in responses_cases.EVERY_CUT),
}
"""Those of which each frame is the last one once."""


def manifest() -> set[str]:
    assert SHARED is not None
    listed = json.loads((SHARED / "recordings" / "MANIFEST.json").read_bytes())
    return {
        f"{provider}/{name}"
        for provider, about in listed.items()
        for names in about["by_feature"].values()
        for name in names
    }


@needs_recordings
def test_every_recording_of_the_manifest_is_there() -> None:
    assert manifest() == {recording.id for recording in recorded()}
    assert len(manifest()) == 712


@needs_recordings
def test_every_recording_is_read_by_one_test_or_left_out_for_a_reason() -> None:
    read = [recording.id for claimed in claims().values() for recording in claimed]
    assert len(read) == len(set(read))
    assert set(read) & LEFT_OUT.keys() == set()
    assert set(read) | LEFT_OUT.keys() == {recording.id for recording in recorded()}
    assert len(LEFT_OUT) == 12 + 4 + 2


@needs_recordings
def test_every_answer_is_in_a_table_of_what_it_says() -> None:
    expected: list[str] = []
    for name in TABLES:
        table = Path(__file__).with_name("expected") / f"{name}.json"
        expected += json.loads(table.read_bytes())
    counts = {*gemini_cases.COUNTS, *COUNTED, *(r.id for r in recorded("anthropic_count"))}
    answers = {r.id for r in recorded(status=200)} - LEFT_OUT.keys() - counts - BROKEN
    assert len(expected) == len(set(expected))
    assert set(expected) == answers


@needs_recordings
def test_every_stream_is_fed_in_pieces_and_one_of_each_feature_is_cut_everywhere() -> None:
    streams = {r.id for r in recorded(status=200) if r.streamed} - LEFT_OUT.keys()
    assert streams - {messages_cases.SPLICED} == {str(r) for r in STREAMS}
    shown, cut = (
        {(r.provider, feature) for r in chosen for feature in r.features}
        for chosen in (STREAMS, [r for r in STREAMS if str(r) in EVERY_CUT])
    )
    assert shown == cut


# --- those that no other test reads


@needs_recordings
@pytest.mark.parametrize("id", TRANSLATED)
def test_a_refusal_at_another_address_is_translated(id: str) -> None:
    recording = found(id)
    adapter, status, code = TRANSLATED[id]
    error = adapter.error(recording.status, recording.meta["response_headers"], recording.body)
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.code) == (status, code)


@needs_recordings
@pytest.mark.parametrize("id", COUNTED)
def test_a_count_of_openai_is_read(id: str) -> None:
    assert OpenAIResponses().counted(found(id).body) == COUNTED[id]


def found(id: str) -> Recording:
    (recording,) = (r for r in recorded(id.partition("/")[0]) if r.id == id)
    return recording
