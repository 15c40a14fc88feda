"""Every recorded generateContent answer: whole, in pieces and cut short.

The official client reads the same bytes and has the last word on what they say. Its reading was
written down once, in short, in `expected/`; that table is what our reading is held to.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cases import Recording, needs_recordings, truncations
from gemini_cases import (
    ANSWERS,
    COUNTS,
    EVERY,
    EVERY_CUT,
    ONE_ARRAY,
    REFUSALS,
    STREAMS,
    TURN,
    adapter_for,
    body_of,
    deltas_of,
    each,
    each_stream,
    items,
    play,
    text_parts,
)
from gemini_oracle import facts, official_answers, parts, short, sources
from openai.types.responses import Response

from responses_mw.deltas import Delta, NativeTurn, ReasoningDelta, TextDelta, ToolCallStarted
from responses_mw.errors import UpstreamProtocolError, UpstreamRefused
from responses_mw.testing import check_event_order, play_recording

EXPECTED: dict[str, dict[str, Any]] = {
    id: facts
    for provider in ("gemini", "vertex_ai")
    for id, facts in json.loads(
        Path(__file__).with_name("expected").joinpath(f"{provider}.json").read_bytes()
    ).items()
}

UNREADABLE_FOR_IT = {
    "vertex_ai/opentelemetry-generate-content-extra-params-0",  # its enum values are numbers
    ONE_ARRAY,
}

# --- what was said


@each
def test_recording_says_what_the_table_says(recording: Recording) -> None:
    events = play(recording)
    check_event_order(events)
    expected = EXPECTED[recording.id]
    response = events[-1]["response"]
    Response.model_validate(response | {"error": None})  # its codes are a closed list, ours not

    assert response["status"] == expected["status"]
    assert (response["incomplete_details"] or {}).get("reason") == expected["reason"]
    assert short(said(response)) == expected["text"]
    assert short(thought(response)) == expected["thinking"]
    assert [[call["name"], arguments(call)] for call in items(response, "function_call")] == [
        [name, shown] for name, shown in expected["calls"]
    ]
    pictures = items(response, "image_generation_call")
    assert [short(picture["result"]) for picture in pictures] == expected["pictures"]
    annotations = [a for part in text_parts(response) for a in part["annotations"]]
    assert len(annotations) == expected["sources"]
    assert tokens(response["usage"]) == expected["usage"]


@each
def test_table_says_what_the_official_client_reads(recording: Recording) -> None:
    if recording.id in UNREADABLE_FOR_IT:
        return
    read = official(recording)
    assert facts(read) == EXPECTED[recording.id]


@cache
def official(recording: Recording) -> list[Any]:
    body, provider = body_of(recording), recording.provider
    return official_answers(body, streamed=recording.streamed, provider=provider)


@needs_recordings
def test_table_is_complete() -> None:
    assert EXPECTED.keys() == {recording.id for recording in ANSWERS}
    assert len(ANSWERS) + len(REFUSALS) + len(COUNTS) == len(EVERY) == 150


def said(response: dict[str, Any]) -> str:
    return "".join(part["text"] for part in text_parts(response))


def thought(response: dict[str, Any]) -> str:
    return "".join(p["text"] for item in items(response, "reasoning") for p in item["summary"])


def arguments(call: dict[str, Any]) -> str:
    return short(json.dumps(json.loads(call["arguments"]), sort_keys=True))


def tokens(usage: dict[str, Any] | None) -> list[int] | None:
    if usage is None:
        return None
    return [
        usage["input_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["output_tokens"],
        usage["output_tokens_details"]["reasoning_tokens"],
    ]


@each
def test_citation_marks_the_words_that_it_supports(recording: Recording) -> None:
    if recording.id in UNREADABLE_FOR_IT:
        return
    expected = sources(official(recording))
    (text, annotations) = ("", [])
    for part in text_parts(play(recording)[-1]["response"]):
        text += part["text"]
        annotations += part["annotations"]

    assert [annotation["url"] for annotation in annotations] == [url for url, _ in expected]
    for annotation, (_, place) in zip(annotations, expected, strict=True):
        marked = text[annotation["start_index"] : annotation["end_index"]]
        assert marked == words_at(text, place)


def words_at(text: str, place: str) -> str:
    """The words themselves; of citations of training data, where they are in bytes."""
    start, _, end = place.partition("-")
    if not (start.isdigit() and end.isdigit()):
        return place
    return text.encode()[int(start) : int(end)].decode(errors="ignore")


# --- the native turn


@each
def test_native_turn_holds_each_part_of_a_turn_that_items_cannot_carry(
    recording: Recording,
) -> None:
    expected = EXPECTED[recording.id]
    if recording.id in UNREADABLE_FOR_IT or expected["status"] == "failed":
        return
    sent = [part.model_dump(mode="json", exclude_none=True) for part in parts(official(recording))]
    suffice = all(items_suffice(part) for part in sent)

    found = [delta for delta in deltas(recording) if isinstance(delta, NativeTurn)]

    assert bool(found) != suffice
    if found:
        (native,) = found
        assert native.scope == f"{recording.provider}:gemini-2.5-flash"
        assert shape(map(as_official, native.state)) == shape(sent)


def items_suffice(part: dict[str, Any]) -> bool:
    call = part.get("function_call", {})
    return part.keys() <= {"text", "thought"} or (part.keys() == {"function_call"} and "id" in call)


def deltas(recording: Recording) -> list[Delta]:
    body, adapter = body_of(recording), adapter_for(recording)
    return deltas_of(body, streamed=recording.streamed, adapter=adapter)


def as_official(part: dict[str, Any]) -> dict[str, Any]:
    from google.genai import types

    return types.Part.model_validate(part).model_dump(mode="json", exclude_none=True)


def shape(parts: Any) -> list[Any]:
    """Signatures, calls and media each in their place; plain text may be cut otherwise."""
    found: list[Any] = []
    for part in parts:
        plain = part.keys() <= {"text", "thought"}
        if plain and found and found[-1][0] == "plain" and found[-1][1] == part.get("thought"):
            found[-1] = ("plain", part.get("thought"), found[-1][2] + part.get("text", ""))
        elif plain and part.get("text"):
            found.append(("plain", part.get("thought"), part["text"]))
        elif not plain:
            found.append(("part", part))
    return found


# --- in pieces, and cut short


@each_stream
def test_single_bytes_give_the_same_events(recording: Recording) -> None:
    assert comparable(play(recording, chunk=1)) == comparable(play(recording))


def comparable(events: list[dict[str, Any]]) -> str:
    """`completed_at` is the time of the test."""
    last = {**events[-1]["response"], "completed_at": None}
    return json.dumps(events[:-1]) + json.dumps(last)


@pytest.mark.parametrize(
    ("recording", "at_most"),
    [(r, None) for r in EVERY_CUT] + [(r, 20) for r in STREAMS if r not in EVERY_CUT],
    ids=str,
)
def test_stream_cut_short_still_ends_once(recording: Recording, at_most: int | None) -> None:
    for body in truncations(recording, at_most=at_most):
        events = play_recording(adapter_for(recording), body, turn=TURN, whole=False)
        check_event_order(events)
        status = events[-1]["response"]["status"]
        # Old models say STOP in every chunk: there a cut cannot be seen.
        assert status == "failed" or b'"finishReason"' in body
        assert events[-1]["type"] == f"response.{status}"


@each_stream
def test_whole_answer_gives_the_deltas_of_its_stream(recording: Recording) -> None:
    """The chunks of a stream put together are an answer as it would have come at once."""
    adapter = adapter_for(recording)
    streamed = decoded(adapter, body_of(recording), streamed=True)
    assert decoded(adapter, put_together(body_of(recording)), streamed=False) == streamed


def decoded(adapter: Any, body: bytes, *, streamed: bool) -> tuple[str, list[Any]]:
    """Merged deltas, and the error that ended them."""
    found: list[Delta] = []
    try:
        if streamed:
            from responses_mw.sse import SSEParser

            decoder = adapter.decoder(TURN)
            for event in SSEParser().feed(body):
                found.extend(decoder.feed(event))
            found.extend(decoder.close())
        else:
            found.extend(adapter.decode(body, TURN))
    except (UpstreamProtocolError, UpstreamRefused) as error:
        return str(error), merged(found)
    return "", merged(found)


def merged(found: list[Delta]) -> list[Any]:
    """Pieces of one text joined; of reports and notes, the last."""
    told: list[Any] = []
    last: dict[str, Any] = {}
    for delta in found:
        kind = type(delta).__name__
        if kind in ("UsageReported", "UpstreamInfo"):
            last[kind] = delta
        elif isinstance(delta, TextDelta | ReasoningDelta) and told and told[-1][0] == kind:
            told[-1] = (kind, told[-1][1] + delta.text)
        else:
            text = isinstance(delta, TextDelta | ReasoningDelta)
            told.append((kind, delta.text if text else delta))
    return [*told, last.get("UsageReported")]


def put_together(stream: bytes) -> bytes:
    chunks = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith(b"data:")]
    whole: dict[str, Any] = {}
    candidate: dict[str, Any] = {}
    said: list[Any] = []
    for chunk in chunks:
        for key in ("usageMetadata", "modelVersion", "responseId", "promptFeedback"):
            whole |= {key: chunk[key]} if key in chunk else {}
        for entry in chunk.get("candidates") or ():
            said += (entry.get("content") or {}).get("parts") or []
            cited = entry.get("citationMetadata")
            if cited and "citationMetadata" in candidate:
                candidate["citationMetadata"]["citations"] += cited["citations"]
            elif cited:
                candidate["citationMetadata"] = cited
            names = ("finishReason", "finishMessage", "groundingMetadata")
            candidate |= {key: entry[key] for key in names if key in entry}
    if any("candidates" in chunk for chunk in chunks):
        whole["candidates"] = [{**candidate, "content": {"role": "model", "parts": said}}]
    return json.dumps(whole).encode()


# --- single things that the recordings show


@needs_recordings
def test_parallel_calls_are_cut_after_the_first_where_they_were_forbidden() -> None:
    from dataclasses import replace

    recording = named("chatlas-provider-google-tools-parallel-0")
    one = replace(TURN, parallel_tool_calls=False)

    found = deltas_of(body_of(recording), streamed=True, turn=one)

    assert sum(isinstance(delta, ToolCallStarted) for delta in found) == 1
    (native,) = [delta for delta in found if isinstance(delta, NativeTurn)]
    assert len(native.state) == 1
    assert "thoughtSignature" in native.state[0]


def named(name: str) -> Recording:
    return next(recording for recording in EVERY if recording.id.endswith(name))


@needs_recordings
def test_counted_tokens_are_read() -> None:
    counted = [adapter_for(r).counted(r.body) for r in EVERY if r.id in COUNTS]
    assert counted == [1837, 6]


@needs_recordings
def test_recorded_http_errors_are_translated() -> None:
    found = {}
    for recording in REFUSALS:
        error = adapter_for(recording).error(recording.status, {}, recording.body)
        assert isinstance(error, UpstreamRefused)
        found.setdefault((recording.status, error.status, error.code), []).append(recording.id)
    assert set(found) == {
        (400, 401, "invalid_api_key"),
        (400, 400, None),
        (400, 400, "context_length_exceeded"),
        (403, 403, "permission_denied"),
        (404, 404, "model_not_found"),
        (429, 429, "rate_limit_exceeded"),
    }


@needs_recordings
def test_wait_is_read_from_the_details_of_an_error() -> None:
    recording = named("fx-google-429-retry-info")
    error = adapter_for(recording).error(429, {}, recording.body)
    assert (error.retry_after, error.headers["Retry-After"]) == (34.4, "35")
