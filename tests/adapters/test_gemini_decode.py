"""Single things that a Gemini answer can say, one by one; most of them never recorded."""

import json
from typing import Any

import pytest
from gemini_cases import ADAPTERS, TURN

from responses_mw.adapters.decoding import well_formed
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    NativeTurn,
    OutputItem,
    ReasoningDelta,
    Stopped,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.errors import UpstreamProtocolError, UpstreamRefused
from responses_mw.sse import ServerSentEvent

ADAPTER = ADAPTERS["gemini"]


def candidate(*parts: Any, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    ended = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **ended, **more}]}


@well_formed("gemini")
def streamed(*chunks: Any) -> list[Delta]:
    decoder = ADAPTER.decoder(TURN)
    found: list[Delta] = []
    for chunk in chunks:
        data = chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()
        found.extend(decoder.feed(ServerSentEvent(None, data)))
    return [*found, *decoder.close()]


def of(found: list[Delta], *kinds: type) -> list[Any]:
    return [delta for delta in found if isinstance(delta, kinds)]


def text_of(found: list[Delta]) -> str:
    return "".join(delta.text for delta in of(found, TextDelta))


def state_of(found: list[Delta]) -> Any:
    (native,) = of(found, NativeTurn)
    return native.state


# --- what is told of the answer


def test_model_id_tier_and_tokens_are_told_as_they_get_known() -> None:
    counts = {"promptTokenCount": 5, "totalTokenCount": 5}
    more = {**counts, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "serviceTier": "standard"}
    found = streamed(
        {**candidate({"text": "a"}, finish=None), "modelVersion": "g-1", "usageMetadata": counts},
        {**candidate({"text": "b"}), "modelVersion": "g-1", "usageMetadata": more},
    )
    first, second = of(found, UpstreamInfo)
    assert (first.model, first.service_tier) == ("g-1", None)
    assert second.service_tier == "default"
    assert of(found, UsageReported) == [
        UsageReported(input_tokens=5, output_tokens=0),
        UsageReported(input_tokens=5, output_tokens=5, reasoning_tokens=3),
    ]


def test_results_of_hosted_tools_are_input() -> None:
    counts = {
        "promptTokenCount": 5,
        "toolUsePromptTokenCount": 7,
        "cachedContentTokenCount": 2,
        "candidatesTokenCount": 1,
    }
    (report,) = of(streamed({**candidate({"text": "a"}), "usageMetadata": counts}), UsageReported)
    assert report == UsageReported(input_tokens=12, output_tokens=1, cached_tokens=2)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "max_output_tokens"),
        ("CONTINUATION", "max_output_tokens"),
        ("SAFETY", "content_filter"),
        ("IMAGE_OTHER", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
    ],
)
def test_finish_reason_is_translated(finish: str, reason: str) -> None:
    assert streamed(candidate({"text": "a"}, finish=finish))[-1] == Stopped(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "OTHER", "BRAND_NEW"])
def test_giving_up_is_the_upstream_s_failure(finish: str) -> None:
    with pytest.raises(UpstreamRefused, match=f"finishReason {finish}.: because") as failed:
        streamed(candidate({"text": "a"}, finish=finish, finishMessage="because"))
    assert (failed.value.status, failed.value.code) == (500, "server_error")


def test_blocked_prompt_is_an_answer_of_nothing() -> None:
    assert of(streamed({"promptFeedback": {"blockReason": "SAFETY"}}), Stopped, TextDelta) == [
        Stopped("content_filter")
    ]


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([], "holds no candidate"),
        ([{"usageMetadata": {}}], "holds no candidate"),
        ([candidate({"text": "a"}, finish=None)], "without a finishReason"),
        ([[]], "holds no candidate"),
        ([b"{"], "not JSON"),
        ([5], "another shape"),
        ([{"candidates": [{"content": {"parts": [5]}}]}], "another shape"),
        ([{"candidates": [{}, {}]}], "more than one candidate"),
        ([{"candidates": [{"index": 1}]}], "more than one candidate"),
        ([candidate({"functionCall": {"args": {}}})], "another shape"),
        ([candidate({"functionCall": {"name": "go", "args": [1]}})], "another shape"),
    ],
)
def test_answer_of_another_form_is_the_upstream_s_mistake(chunks: list[Any], said: str) -> None:
    with pytest.raises(UpstreamProtocolError, match=said):
        streamed(*chunks)


@pytest.mark.parametrize("wrapped", [False, True])
def test_error_inside_a_stream_is_translated(wrapped: bool) -> None:
    error = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
    with pytest.raises(UpstreamRefused, match="Overloaded") as failed:
        streamed(candidate({"text": "a"}, finish=None), [error] if wrapped else error)
    assert failed.value.status == 503


# --- parts


def test_thoughts_text_and_calls_in_turn() -> None:
    found = streamed(
        candidate(
            {"text": "Hm.", "thought": True},
            {"text": "So."},
            {"functionCall": {"id": "x", "name": "go", "args": {"at": 1}}},
        )
    )
    assert of(found, ReasoningDelta, TextDelta, ToolCallStarted, ToolCallDelta, ItemFinished) == [
        ReasoningDelta("Hm."),
        TextDelta("So."),
        ToolCallStarted(0, "go", "x"),
        ToolCallDelta(0, '{"at":1}'),
        ItemFinished(0),
    ]
    assert of(found, NativeTurn) == []  # items say all of it


def test_pieces_of_a_text_are_one_part_up_to_a_signature() -> None:
    signed = {"text": "c", "thoughtSignature": "c2ln"}
    found = streamed(
        candidate({"text": "a"}, finish=None),
        candidate({"text": "b"}, finish=None),
        candidate(signed, finish=None),
        candidate({"text": "d"}, {}, {"text": ""}),
        candidate({"text": "e"}, {"thoughtSignature": "ZW5k"}),
    )
    assert text_of(found) == "abcde"
    assert state_of(found) == [
        {"text": "ab"},
        signed,
        {"text": "de"},
        {"thoughtSignature": "ZW5k"},
    ]


@pytest.mark.parametrize("id", [None, "", "x" * 65])
def test_call_whose_id_cannot_be_shown_is_kept_as_it_came(id: str | None) -> None:
    named = {} if id is None else {"id": id}
    part = {"functionCall": {**named, "name": "go", "args": {}}}
    assert state_of(streamed(candidate(part))) == [part]


@pytest.mark.parametrize(
    ("outcome", "status"), [("OUTCOME_OK", "completed"), ("OUTCOME_DEADLINE_EXCEEDED", "failed")]
)
def test_hosted_code_is_kept_and_shown(outcome: str, status: str) -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    ran = {"codeExecutionResult": {"outcome": outcome, "output": "1\n"}}
    found = streamed(
        {**candidate({"text": "a"}, code), "responseId": "r1"}, candidate(ran, {"text": "b"})
    )
    (shown,) = of(found, OutputItem)
    assert shown.item == {
        "type": "code_interpreter_call",
        "status": status,
        "container_id": "r1",
        "code": "print(1)",
        "outputs": [{"type": "logs", "logs": "1\n"}],
    }
    assert text_of(found) == "ab"
    assert state_of(found) == [{"text": "a"}, code, ran, {"text": "b"}]


def test_picture_is_an_item() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}
    found = streamed(candidate(picture, {**picture, "thought": True}, sound))
    (shown,) = of(found, OutputItem)
    assert shown.item == {
        "type": "image_generation_call",
        "status": "completed",
        "result": "aGk=",
    }
    assert len(state_of(found)) == 3


def test_text_halves_of_a_character_are_joined() -> None:
    """Other servers of the format may cut a pair of surrogates in two."""
    chunk = rb'{"candidates":[{"content":{"parts":[{"text":"%s"}]}}]}'
    chunks = [chunk % piece for piece in (rb"a\ud83d", rb"\ude00b\ud83d")]
    thought = candidate({"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"})
    found = streamed(*chunks, thought)
    assert text_of(found) == "a\N{GRINNING FACE}b\ufffd"
    assert state_of(found)[0] == {"text": "a\N{GRINNING FACE}b\ufffd"}


def test_half_character_in_arguments_is_replaced() -> None:
    part = rb'{"functionCall":{"name":"go","args":{"at":"\ud83d"}}}'
    chunk = rb'{"candidates":[{"finishReason":"STOP","content":{"parts":[%s]}}]}' % part
    (arguments,) = of(streamed(chunk), ToolCallDelta)
    assert json.loads(arguments.arguments) == {"at": "\ufffd"}


# --- arguments in pieces


def piece(path: str, *, go_on: bool = True, **value: Any) -> dict[str, Any]:
    call = {"partialArgs": [{"jsonPath": path, **value}], "willContinue": go_on}
    return {"functionCall": call}


def test_arguments_in_pieces_are_one_object() -> None:
    begun = {"functionCall": {"name": "go", "willContinue": True}, "thoughtSignature": "c2ln"}
    found = streamed(
        candidate(begun, finish=None),
        candidate(piece("$.city", stringValue="Ber", willContinue=True), finish=None),
        candidate(piece("$.city", stringValue="lin"), finish=None),
        candidate(piece("$.at[0].x", numberValue=3.0), finish=None),
        candidate(piece("$.at[1]['y z']", boolValue=True), finish=None),
        candidate(piece('$["none"]', nullValue="NULL_VALUE"), finish=None),
        candidate({"functionCall": {}}),
    )
    args = {"city": "Berlin", "at": [{"x": 3}, {"y z": True}], "none": None}
    started, arguments, finished = of(found, ToolCallStarted, ToolCallDelta, ItemFinished)
    assert (started.name, finished.key) == ("go", 0)
    assert json.loads(arguments.arguments) == args
    assert state_of(found) == [
        {"functionCall": {"name": "go", "args": args}, "thoughtSignature": "c2ln"}
    ]


def test_next_call_ends_the_one_before() -> None:
    begun = {"functionCall": {"name": "go", "willContinue": True}}
    found = streamed(candidate(begun, {"functionCall": {"name": "stop", "args": {}}}))
    assert [delta.name for delta in of(found, ToolCallStarted)] == ["go", "stop"]
    assert [delta.key for delta in of(found, ItemFinished)] == [0, 1]


def test_call_cut_off_by_the_limit_is_not_finished_and_not_kept() -> None:
    begun = {"functionCall": {"name": "go", "willContinue": True}}
    found = streamed(candidate(begun, finish="MAX_TOKENS"))
    assert of(found, ItemFinished, NativeTurn) == []
    assert found[-1] == Stopped("max_output_tokens")
    with pytest.raises(UpstreamProtocolError, match="in the middle of a function call"):
        streamed(candidate(begun))


@pytest.mark.parametrize("path", ["$", "$.a[1]", "$.a.b", "$..a", "$.a[*]", "$.s.x"])
def test_path_that_leads_nowhere_is_the_upstream_s_mistake(path: str) -> None:
    begun = {"functionCall": {"name": "go", "args": {"a": [], "s": "x"}, "willContinue": True}}
    with pytest.raises(UpstreamProtocolError, match="another shape"):
        streamed(candidate(begun, piece(path, stringValue="x", go_on=False)))


# --- what stands beside the words


def grounding(text: str, start: int, end: int, *chunks: int) -> dict[str, Any]:
    segment = {"startIndex": start, "endIndex": end, "text": text}
    return {
        "groundingChunks": [
            {"web": {"uri": "https://a.org", "title": "A"}},
            {"maps": {"uri": "https://m.org"}},
            {"retrievedContext": {"title": "no address"}},
        ],
        "groundingSupports": [{"segment": segment, "groundingChunkIndices": list(chunks)}],
    }


def citations(found: list[Delta]) -> list[tuple[str, str, int, int]]:
    return [
        (a["url"], a["title"], a["start_index"], a["end_index"])
        for a in (delta.annotation for delta in of(found, AnnotationAdded))
    ]


def test_sources_are_placed_by_characters() -> None:
    metadata = grounding("grün", 5, 10, 0, 1, 2, 9)
    found = streamed(candidate({"text": "Öl: grün."}, groundingMetadata=metadata))
    assert citations(found) == [("https://a.org", "A", 4, 8), ("https://m.org", "", 4, 8)]


def test_sources_whose_bytes_are_wrong_are_found_by_their_words() -> None:
    found = streamed(candidate({"text": "It is so."}, groundingMetadata=grounding("so", 0, 2, 0)))
    assert citations(found) == [("https://a.org", "A", 6, 8)]


def test_sources_said_in_every_chunk_are_told_once() -> None:
    metadata = grounding("So", 0, 2, 0)
    found = streamed(
        candidate({"text": "So it"}, finish=None, groundingMetadata=metadata),
        candidate({"text": " is."}, groundingMetadata={**metadata, "groundingChunks": []}),
    )
    assert citations(found) == [("https://a.org", "A", 0, 2)]


def test_sources_of_an_earlier_message_are_put_at_the_beginning_of_the_last() -> None:
    metadata = grounding("One.", 0, 4, 0)
    parts = ({"text": "One."}, {"text": "Hm.", "thought": True}, {"text": "Two."})
    found = streamed(candidate(*parts, groundingMetadata=metadata))
    assert citations(found) == [("https://a.org", "A", 0, 0)]


def test_sources_without_a_message_are_not_told() -> None:
    call = {"functionCall": {"id": "x", "name": "go", "args": {}}}
    metadata = grounding("a", 0, 1, 0)
    assert citations(streamed(candidate({"text": "a"}, call, groundingMetadata=metadata))) == []


SO = {"token": "So", "logProbability": -0.1}


def test_logprobs_go_with_the_text() -> None:
    result = {
        "chosenCandidates": [{"token": "So", "logProbability": -0.1}],
        "topCandidates": [
            {"candidates": [{"token": "So", "logProbability": -0.1}, {"token": "é"}]}
        ],
    }
    (delta,) = of(streamed(candidate({"text": "So"}, logprobsResult=result)), TextDelta)
    so = {"token": "So", "logprob": -0.1, "bytes": [83, 111]}
    other = {"token": "é", "logprob": 0.0, "bytes": [195, 169]}
    assert list(delta.logprobs) == [{**so, "top_logprobs": [so, other]}]


def test_logprobs_behind_the_text_are_told_too() -> None:
    result = {"chosenCandidates": [SO]}
    found = streamed(
        candidate({"text": "So"}, finish=None), candidate(logprobsResult=result, finish="STOP")
    )
    assert [len(delta.logprobs) for delta in of(found, TextDelta)] == [0, 1]
