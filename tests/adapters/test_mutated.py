"""Answers that are not what their format says: nothing but an UpstreamError comes out of them.

Recordings of every provider are changed at random (`mutations`) and read as the transport reads
them. What comes out before the error must assemble, and what was stored must go back in.
The same changes each time; `RESPONSES_MW_EXAMPLES` asks for others, and for 25 times as many.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import bedrock_cases
import gemini_cases
import messages_cases
import orjson
import pytest
from bedrock_stream import stream
from cases import WITHOUT_RECORDINGS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import CASES, Case, changed, mutated

from responses_mw.adapters.base import PARSERS, Adapter, Counts
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.decoding import well_formed, wrong_shape
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.reading import Reading
from responses_mw.deltas import Canonical, Delta, ItemFinished, NativeTurn, UsageReported, singly
from responses_mw.errors import UnsupportedByProvider, UpstreamError, UpstreamProtocolError
from responses_mw.testing import check_event_order
from responses_mw.testing.play import assemble
from responses_mw.turn import Span, Turn

ASK = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Go on."}],
}
ADAPTERS: dict[str, Adapter] = {
    "anthropic": messages_cases.ADAPTER,
    "bedrock": bedrock_cases.ADAPTERS["bedrock"],
    "bedrock/invoke": BedrockInvoke(),
    "chat": ChatCompletions(),
    "gemini": gemini_cases.ADAPTERS["gemini"],
    "responses": OpenAIResponses(),
}

each_adapter = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
EXAMPLES = os.environ.get("RESPONSES_MW_EXAMPLES")
at_random = settings(
    derandomize=not EXAMPLES,
    database=None,
    max_examples=int(EXAMPLES or 8) * 25,
    deadline=timedelta(seconds=5),
    suppress_health_check=list(HealthCheck),
)


# --- reading


def read(case: Case, body: bytes) -> Iterator[Delta]:
    """As the transport does."""
    if not case.recording.streamed:
        with well_formed(case.adapter.name):
            yield from case.adapter.decode(body, case.turn)
        return
    decoder = case.adapter.decoder(case.turn)
    reading, said = Reading(decoder, case.adapter.framing, name=case.adapter.name), list[Delta]()
    try:
        reading.feed(body, said)
    except UpstreamError:
        yield from singly(said)
        raise
    yield from singly(said)
    with well_formed(case.adapter.name):
        yield from decoder.close()


def check(case: Case, body: bytes) -> None:
    said: list[Delta] = []

    def heard() -> Iterator[Delta]:
        for delta in read(case, body):
            said.append(delta)
            yield delta

    events = assemble(heard())
    orjson.dumps(events)
    if not any(isinstance(delta, Canonical) for delta in said):
        check_event_order(events)  # what is passed through may be in another order
    response = events[-1]["response"]
    if response["status"] == "completed":
        check_replay(case, response["output"], said)


def check_replay(case: Case, output: list[Any], said: list[Delta]) -> None:
    """Whatever was stored of an answer, the next turn can be asked."""
    orjson.dumps(output)
    native = next((delta for delta in said if isinstance(delta, NativeTurn)), None)
    seals = [d.native for d in said if isinstance(d, ItemFinished) and d.native is not None]
    answers = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "x"}
        for item in output
        if item["type"] == "function_call"
    ]
    for spans in ([Span(output, native)], [Span(output)], [Span([], seal) for seal in seals]):
        asked = [Span([ASK]), *spans, Span(answers), Span([ASK])]
        with contextlib.suppress(UnsupportedByProvider):
            orjson.dumps(case.adapter.encode(replace(case.turn, spans=asked)).body)


@each_adapter
def test_only_the_upstream_is_blamed_for_an_answer_of_another_shape(adapter: Adapter) -> None:
    cases = CASES.get(type(adapter))
    if cases is None:
        pytest.skip(WITHOUT_RECORDINGS)

    @at_random
    @given(st.data())
    def hold(data: st.DataObject) -> None:
        case = data.draw(st.sampled_from(cases))
        check(case, data.draw(mutated(case)))

    hold()


@pytest.mark.parametrize("framing", ["sse", "ndjson", "eventstream"])
def test_a_framing_only_raises_what_an_upstream_is_to_blame_for(framing: Any) -> None:
    good = {
        "sse": b"event: a\ndata: {}\n\n: ping\r\ndata: 1\rdata: 2\n\n",
        "ndjson": b'{"a": 1}\n[]\r\n\n7\n',
        "eventstream": stream(("a", {"b": 1}), ("cException", {"message": "d"})),
    }[framing]
    spoilt = st.binary(max_size=60) | st.tuples(
        st.integers(0, len(good) - 1), st.integers(0, len(good) - 1), st.binary(max_size=5)
    ).map(lambda given: good[: given[0]] + given[2] + good[given[1] :])

    @at_random
    @given(spoilt, st.integers(1, 40))
    def hold(body: bytes, size: int) -> None:
        parser = PARSERS[framing]()
        try:
            for start in range(0, len(body), size):
                list(parser.feed(body[start : start + size]))
        except UpstreamProtocolError:
            pass

    hold()


def test_a_checksum_that_is_wrong_ends_the_stream() -> None:
    good = stream(("messageStart", {"role": "assistant"}), ("messageStop", {}))
    for place in range(len(good)):
        spoilt = bytearray(good)
        spoilt[place] ^= 1
        parser = PARSERS["eventstream"]()
        # A length that is longer now is found out by its own checksum.
        with pytest.raises(UpstreamProtocolError, match="checksum"):
            list(parser.feed(bytes(spoilt)))


ERROR = {
    "error": {
        "message": "No.",
        "type": "t",
        "param": "p",
        "code": 429,
        "status": "S",
        "details": [{"reason": "R", "retryDelay": "3s"}],
    }
}


@each_adapter
def test_an_error_of_any_shape_is_an_upstream_error(adapter: Adapter) -> None:
    headers = st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-should-retry", "x-amzn-errortype"]),
        st.sampled_from(
            ["", "3", "-1", "nan", "1e999", "Wed, 21 Oct 2026 07:28:00 GMT", "x", "a:b"]
        ),
    )
    bodies = st.binary(max_size=40) | changed(ERROR).map(lambda said: json.dumps(said).encode())

    @at_random
    @given(st.sampled_from([400, 401, 404, 429, 500, 529, 599, 300]), headers, bodies)
    def hold(status: int, told: dict[str, str], body: bytes) -> None:
        error = adapter.error(status, told, body)
        assert isinstance(error, UpstreamError)
        assert 400 <= error.status < 600
        orjson.dumps(error.envelope())
        if isinstance(adapter, Counts):
            with pytest.raises(UpstreamProtocolError):
                adapter.counted(body)

    hold()


# --- single things that were found so


def deltas_of(adapter: Adapter, body: Any) -> list[Delta]:
    return list(adapter.decode(orjson.dumps(body), Turn(model="claude-sonnet-4-5", spans=())))


MESSAGE = {"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
CANDIDATE = {"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
CHOICE = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
    "stopReason": "end_turn",
}


@pytest.mark.parametrize(
    ("adapter", "answer"),
    [
        (messages_cases.ADAPTER, {**MESSAGE, "usage": {"input_tokens": "many"}}),
        (
            gemini_cases.ADAPTERS["gemini"],
            {"candidates": [CANDIDATE], "usageMetadata": {"promptTokenCount": "many"}},
        ),
        (ChatCompletions(), {"choices": [CHOICE], "usage": {"prompt_tokens": "many"}}),
        (bedrock_cases.ADAPTERS["bedrock"], {**CONVERSE, "usage": {"inputTokens": "many"}}),
        (
            OpenAIResponses(),
            {"status": "completed", "output": [], "usage": {"input_tokens": "many"}},
        ),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
def test_a_count_that_is_none_does_not_cost_the_answer(adapter: Adapter, answer: Any) -> None:
    deltas = deltas_of(adapter, answer)
    counts = [delta for delta in deltas if isinstance(delta, UsageReported)]
    assert not any(count.countable for count in counts)
    assert assemble(deltas)[-1]["response"]["status"] == "completed"
    assert assemble(deltas)[-1]["response"]["usage"] is None


def test_what_was_said_stays_out_of_the_error() -> None:
    told = wrong_shape(ValueError("My password is 1234."), "gemini")
    assert (told.message, told.provider, told.code) == (
        "gemini answered in another shape than its format has: ValueError",
        "gemini",
        "upstream_protocol_error",
    )
    assert "it has no 'role'" in wrong_shape(KeyError("role"), "gemini").message


def test_items_of_upstreams_that_are_told_by_others_may_hold_anything() -> None:
    call = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": [5]}}
    asked = Turn(model="claude-sonnet-4-5", spans=[Span([ASK]), Span([call]), Span([ASK])])
    assert messages_cases.ADAPTER.encode(asked).dropped == ("input.web_search_call",)
