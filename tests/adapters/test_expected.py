"""What each recorded answer of the chat vendors and of Anthropic says, in a table.

The tables in `expected/` were written from readings that share nothing with our decoders (the
official client for Anthropic, the plain JSON for chat); both they and ours are held to them. Other
formats have theirs in the tests of their recordings.
"""

import json
from pathlib import Path
from typing import Any

import chat_oracle
import messages_oracle
import pytest
from bedrock_oracle import canonical, short
from cases import SHARED, Recording, needs_recordings
from chat_cases import adapter_for
from messages_cases import READABLE as MESSAGES
from messages_cases import body_of, items, play, text_parts
from test_chat_recordings import FAILED, STREAMED, WHOLE

from responses_mw.testing import check_event_order, play_recording

CHATS = [recording for recording in [*WHOLE, *STREAMED] if recording.id not in FAILED]


def table(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(
        Path(__file__).with_name("expected").joinpath(f"{name}.json").read_bytes()
    )
    return found


CHAT_TABLE, ANTHROPIC_TABLE = table("chat"), table("anthropic")


def tokens(usage: dict[str, Any] | None) -> list[int] | None:
    if usage is None:
        return None
    read = usage["input_tokens_details"]
    return [
        usage["input_tokens"],
        read["cached_tokens"],
        read["cache_write_tokens"],
        usage["output_tokens"],
        usage["output_tokens_details"]["reasoning_tokens"],
    ]


def arguments(text: str) -> str:
    try:
        return canonical(json.loads(text))
    except json.JSONDecodeError:  # cut off by a limit
        return short(text)


def joined(response: dict[str, Any], kind: str) -> str:
    key = "refusal" if kind == "refusal" else "text"
    return short("".join(part[key] for part in text_parts(response) if part["type"] == kind))


def thought(item: dict[str, Any]) -> str:
    return "".join(part["text"] for part in [*item["summary"], *(item.get("content") or ())])


# --- chat completions


@pytest.mark.parametrize("recording", CHATS, ids=str)
def test_a_chat_answer_says_what_the_table_says(recording: Recording) -> None:
    events = play_recording(adapter_for(recording), recording.path)
    check_event_order(events)
    response = events[-1]["response"]

    assert {
        "status": response["status"],
        "reason": (response["incomplete_details"] or {}).get("reason"),
        "text": joined(response, "output_text"),
        "thinking": short("".join(map(thought, items(response, "reasoning")))),
        "refusal": joined(response, "refusal"),
        "calls": [
            [call["name"], arguments(call["arguments"])]
            for call in items(response, "function_call")
        ],
        "sources": sum(len(part.get("annotations", ())) for part in text_parts(response)),
        "usage": tokens(response["usage"]),
    } == CHAT_TABLE[recording.id]


@pytest.mark.parametrize("recording", CHATS, ids=str)
def test_the_chat_table_says_what_the_plain_json_says(recording: Recording) -> None:
    read = chat_oracle.facts(
        recording.body, streamed=recording.streamed, provider=recording.provider
    )
    assert read == CHAT_TABLE[recording.id]


# --- Anthropic


@pytest.mark.parametrize("recording", MESSAGES, ids=str)
def test_a_message_says_what_the_table_says(recording: Recording) -> None:
    response = play(recording)[-1]["response"]
    reason = (response["incomplete_details"] or {}).get("reason")
    annotations = [a for part in text_parts(response) for a in part.get("annotations", ())]

    assert {
        "status": response["status"],
        "reason": reason,
        "text": joined(response, "output_text"),
        "thinking": [short(thought(item)) for item in items(response, "reasoning")],
        "calls": [
            [call["call_id"], call["name"], arguments(call["arguments"]) if reason is None else ""]
            for call in items(response, "function_call")
        ],
        "pages": sum(annotation["type"] == "url_citation" for annotation in annotations),
        "usage": tokens(response["usage"]),
    } == ANTHROPIC_TABLE[recording.id]


@pytest.mark.parametrize("recording", MESSAGES, ids=str)
def test_the_table_of_messages_says_what_the_official_client_reads(recording: Recording) -> None:
    message = messages_oracle.official_message(body_of(recording), streamed=recording.streamed)
    assert messages_oracle.facts(message) == ANTHROPIC_TABLE[recording.id]


@needs_recordings
def test_the_tables_are_complete() -> None:
    assert SHARED is not None
    assert CHAT_TABLE.keys() == {recording.id for recording in CHATS}
    assert ANTHROPIC_TABLE.keys() == {recording.id for recording in MESSAGES}
    assert (len(CHAT_TABLE), len(ANTHROPIC_TABLE)) == (204, len(MESSAGES))
