"""Every recorded Responses answer becomes a legal one of ours: whole, in pieces and cut short.

The official client reads the same bytes. Its reading was written down once, in short, in
`expected/responses.json`; that table is what ours is held to.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from cases import Recording, needs_recordings, truncations
from openai.types.responses import Response
from published import violations
from responses_cases import (
    ANSWERS,
    ENDS,
    EVERY_CUT,
    REFUSALS,
    STREAMS,
    WHOLE,
    adapter_for,
    answered_upstream,
    deltas_of,
    final,
    frames,
    merged,
    play,
    said_upstream,
    stream_of,
    turn_of,
)

from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import Canonical, ItemFinished, NativeTurn
from responses_mw.errors import UpstreamProtocolError, UpstreamRefused
from responses_mw.replay import replay
from responses_mw.testing import check_event_order, play_recording
from responses_mw.testing.play import created

EXPECTED: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("expected").joinpath("responses.json").read_bytes()
)
CUT = [(r, None) for r in EVERY_CUT] + [(r, 20) for r in STREAMS if r not in EVERY_CUT]
_QWEN = "vllm_responses/vllm-responses-upstream-responses-qwen35a3b-responses-function-"
SAYS_MORE = {
    f"{_QWEN}named-choice-stream-0",  # streams the demanded call as a message, which stays said
    f"{_QWEN}stream-auto-0",  # streams blank lines before the call
    f"{_QWEN}stream-required-0",
}
"""Streams of vLLM that say something which the response at their end denies."""
SILENT_LENGTH = {
    f"local_llamacpp/responses-{case}"
    for case in ("length", "length-stream", "tool-required", "tool-required-stream")
}
"""The upstream calls them completed; the count of tokens shows that they are not."""
XAI_ONLY = {
    "xai_responses/fx-xai-web-search-tool-1",  # web searches without an action
    "xai_responses/fx-xai-web-search-tool-1-stream",
    "xai_responses/fx-xai-x-search-tool-1",  # a tool that only xAI has
}


# --- what was said


def short(text: str) -> str:
    """Texts of others are not committed: a long one is its length and the start of its hash."""
    if len(text) <= 20:
        return text
    return f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def texts(item: dict[str, Any], *lists: str) -> str:
    parts = [part for name in lists for part in item.get(name) or ()]
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)


def facts(response: dict[str, Any]) -> dict[str, Any]:
    output = response["output"]
    messages = [item for item in output if item["type"] == "message"]
    usage = response["usage"]
    written = usage.get("output_tokens_details") or {}
    read = usage.get("input_tokens_details") or {}
    return {
        "status": response["status"],
        "reason": (response.get("incomplete_details") or {}).get("reason"),
        "items": [item["type"] for item in output],
        "phases": [item["phase"] for item in messages if item.get("phase")],
        "text": short("".join(texts(item, "content") for item in messages)),
        "refused": any(p["type"] == "refusal" for item in messages for p in item["content"]),
        "sources": sum(len(p.get("annotations") or ()) for m in messages for p in m["content"]),
        "thinking": short("".join(
            texts(item, "summary", "content") for item in output if item["type"] == "reasoning"
        )),
        "calls": [
            [item["name"], short(item["arguments"])]
            for item in output
            if item["type"] == "function_call"
        ],
        "usage": [
            usage["input_tokens"],
            read.get("cached_tokens") or 0,
            read.get("cache_write_tokens") or 0,
            usage["output_tokens"],
            written.get("reasoning_tokens") or 0,
        ],
    }  # fmt: skip


@pytest.mark.parametrize("recording", ANSWERS, ids=str)
def test_recording_says_what_the_table_says(recording: Recording) -> None:
    events = play(recording)
    check_event_order(events)
    expected = EXPECTED[recording.id]
    said = facts(events[-1]["response"])
    if recording.id in SAYS_MORE:
        assert said["items"] == ["reasoning", "message", "function_call"]
        expected = {**expected, "items": said["items"], "text": said["text"]}
    if recording.id in SILENT_LENGTH:
        expected = {**expected, "status": "incomplete", "reason": "max_output_tokens"}
    assert said == expected


def officially_read(recording: Recording) -> dict[str, Any]:
    """As the official client's types read it. It requires a field that hardly any upstream sends,
    and is lenient with all others."""
    return Response.construct(**answered_upstream(recording)).to_dict(warnings=False)


@pytest.mark.parametrize("recording", [r for r in ANSWERS if r.id not in XAI_ONLY], ids=str)
def test_the_table_is_the_official_clients_reading(recording: Recording) -> None:
    assert facts(officially_read(recording)) == EXPECTED[recording.id]


@needs_recordings
def test_no_recording_is_forgotten() -> None:
    assert set(EXPECTED) == {recording.id for recording in ANSWERS}
    assert len(STREAMS) > 60
    assert len({recording.provider for recording in ANSWERS}) == 11


@pytest.mark.parametrize("recording", [r for r in ANSWERS if r.id not in XAI_ONLY], ids=str)
def test_every_answer_fits_the_official_types(recording: Recording) -> None:
    response = final(recording)
    read = Response.model_validate(response)
    assert read.usage is not None
    assert read.usage.input_tokens_details.cache_write_tokens >= 0


UNLIKE_PUBLISHED = {
    "file_citation": "Open Responses knows only url_citation",
    "container_file_citation": "likewise",
    "'environment' is a required property": "OpenAI's own older shell calls lack it",
    "'result' is a required property": "OpenAI's own pictures begin without",
    "'action' is a required property": "xAI's web searches have arguments in its place",
    "'x_search_call'": "a tool that only xAI has",
}


@needs_recordings
@pytest.mark.parametrize("recording", ANSWERS, ids=str)
def test_every_answer_fits_the_published_schemas(recording: Recording) -> None:
    response = final(recording)
    wrong = [
        *violations("oa", "Response", response),
        *violations("or", "ResponseResource", response),
    ]
    unexpected = [line for line in wrong if not any(known in line for known in UNLIKE_PUBLISHED)]
    assert unexpected == []


# --- ids, numbers and what passes through


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_no_id_of_the_upstream_is_shown(recording: Recording) -> None:
    said = json.dumps(play(recording))
    response = answered_upstream(recording)
    theirs = {response["id"], *(item["id"] for item in response["output"] if item.get("id"))}
    assert [id for id in theirs if f'"{id}"' in said] == []
    assert "obfuscation" not in said


TRANSLATED = ("message", "reasoning", "function_call")


@pytest.mark.parametrize("recording", ANSWERS, ids=str)
def test_items_without_a_delta_are_shown_as_they_were(recording: Recording) -> None:
    def others(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        passed = [item for item in output if item["type"] not in TRANSLATED]
        hidden = ("id", "encrypted_content", "fingerprint")  # encrypted anew each time
        # xAI's hosted tools have call ids of no characters.
        return [{k: v for k, v in item.items() if k not in hidden and v != ""} for item in passed]

    theirs = answered_upstream(recording)["output"]
    assert others(final(recording)["output"]) == others(theirs)


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_events_without_a_delta_are_all_passed_on(recording: Recording) -> None:
    hosted = {
        event["output_index"]
        for event in said_upstream(recording)
        if event["type"] == "response.output_item.added"
        and event.get("item", {}).get("type") not in TRANSLATED
        and "output_index" in event
    }
    theirs = [e["type"] for e in said_upstream(recording) if e.get("output_index") in hosted]
    passed = [d for d in deltas_of(recording) if isinstance(d, Canonical)]
    assert [delta.event["type"] for delta in passed] == theirs


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_a_stream_is_told_again_from_its_output_and_its_cuts(recording: Recording) -> None:
    assembler = ResponseAssembler(created(), now=lambda: 1)
    events = assembler.start()
    for delta in deltas_of(recording):
        events += assembler.feed(delta)
    events += assembler.finish()

    told = replay(assembler.envelope, assembler.output, assembler.cuts)
    # What the response showed before its first item is not part of the cuts.
    assert [event["type"] for event in told[:2]] == [event["type"] for event in events[:2]]
    assert told[2:] == events[2:]


# --- in pieces, cut short


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_single_bytes_give_the_same_events(recording: Recording) -> None:
    def plain(events: list[dict[str, Any]]) -> str:
        """`completed_at` is the time of the test."""
        return json.dumps(events[:-1]) + json.dumps({**events[-1]["response"], "completed_at": 0})

    assert plain(play(recording, chunk=1)) == plain(play(recording))


@pytest.mark.parametrize(("recording", "at_most"), CUT, ids=str)
def test_a_stream_cut_short_still_ends_once(recording: Recording, at_most: int | None) -> None:
    adapter, turn = adapter_for(recording), turn_of(recording)
    for body in truncations(recording, at_most=at_most):
        events = play_recording(adapter, body, turn=turn)
        check_event_order(events)
        ends = [event["type"] for event in events if event["type"] in ENDS]
        assert len(ends) == 1
        whole = any(f'"type":"{end}"' in body.decode().replace(" ", "") for end in ENDS)
        assert whole or ends == ["response.failed"]


@pytest.mark.parametrize("recording", [r for r in STREAMS if r.id not in SAYS_MORE], ids=str)
def test_a_whole_answer_and_its_stream_say_the_same(recording: Recording) -> None:
    """A stream's last event holds the answer as it would have come whole."""
    adapter, turn = adapter_for(recording), turn_of(recording)
    whole = final_of(adapter, orjson.dumps(answered_upstream(recording)), turn)
    assert visible(final(recording)) == visible(whole)


def final_of(adapter: Any, body: bytes, turn: Any) -> dict[str, Any]:
    response: dict[str, Any] = play_recording(adapter, body, turn=turn, whole=True)[-1]["response"]
    return response


OPAQUE = ("encrypted_content", "fingerprint", "logprobs", "completed_at")
"""OpenAI encrypts anew each time; several repeat no logprobs at the end."""


def visible(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {k: visible(v) for k, v in value.items() if k not in OPAQUE}
        if kept.get("type") == "function_call":
            del kept["call_id"]  # vLLM gives another one at the end
        return kept
    return [visible(entry) for entry in value] if isinstance(value, list) else value


@pytest.mark.parametrize("recording", WHOLE, ids=str)
def test_a_whole_answer_read_as_events_gives_the_same_deltas(recording: Recording) -> None:
    response = answered_upstream(recording)
    begun = {**response, "status": "in_progress", "output": []}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(response["output"]):
        place = {"output_index": index}
        events.append({"type": "response.output_item.added", **place, "item": opened(item)})
        events.append({"type": "response.output_item.done", **place, "item": item})
    events.append({"type": f"response.{response['status']}", "response": response})
    adapter, turn = adapter_for(recording), turn_of(recording)
    decoder = adapter.decoder(turn)

    streamed = [d for frame in frames(stream_of(events)) for d in decoder.feed(frame)]

    assert keyless(merged(streamed)) == keyless(merged(adapter.decode(recording.body, turn)))


def opened(item: dict[str, Any]) -> dict[str, Any]:
    begun = {"message": {"content": []}, "function_call": {"arguments": ""}}
    return {**item, **begun.get(item["type"], {})}


def keyless(deltas: list[Any]) -> list[Any]:
    """Keys are the decoder's own business, and so are the indexes that ours replace."""
    plain: list[Any] = []
    for delta in deltas:
        match delta:
            case Canonical(event):
                plain.append((event["type"], event["item"]))
            case ItemFinished(native=native):
                plain.append(("finished", native))
            case _ if hasattr(delta, "key"):
                plain.append([getattr(delta, n) for n in delta.__slots__ if n != "key"])
            case _:
                plain.append(delta)
    return plain


def test_a_broken_whole_answer_is_the_upstreams_fault() -> None:
    for recording in WHOLE[:10]:
        for cut in range(0, len(recording.body) - 2, max(1, len(recording.body) // 20)):
            with pytest.raises(UpstreamProtocolError):
                list(adapter_for(recording).decode(recording.body[:cut], turn_of(recording)))


# --- native turns and refusals


@pytest.mark.parametrize("recording", ANSWERS, ids=str)
def test_what_items_cannot_say_is_remembered(recording: Recording) -> None:
    natives = [d for d in deltas_of(recording) if isinstance(d, NativeTurn)]
    kinds = set(EXPECTED[recording.id]["items"])
    assert len(natives) <= 1
    if kinds - {"message", "function_call"} and recording.id not in SAYS_MORE:
        [native] = natives
        assert [item["type"] for item in native.state["items"]] == EXPECTED[recording.id]["items"]


@pytest.mark.parametrize("recording", REFUSALS, ids=str)
def test_a_recorded_refusal_is_translated(recording: Recording) -> None:
    adapter = adapter_for(recording)
    error = adapter.error(recording.status, recording.meta["response_headers"], recording.body)
    assert isinstance(error, UpstreamRefused)
    body = json.loads(recording.body)
    if "xai" in recording.id:
        assert (error.status, error.code) == (401, "invalid_api_key")  # xAI says 400
    elif body["error"].get("code") == "model_not_found":
        assert (error.status, error.code) == (404, "model_not_found")
    else:
        assert error.status == recording.status
        assert error.message.split("[redacted]")[0] in body["error"]["message"]
