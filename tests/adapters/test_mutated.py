"""Answers that are not what their format says: nothing but an UpstreamError comes out of them.

Recordings of every provider are changed at random (a field dropped, of another type, null, huge or
too deep; events repeated, reordered, missing, cut; bytes flipped) and read as the transport reads
them. What comes out before the error must assemble, and what was stored must go back in.
"""

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import bedrock_cases
import chat_cases
import gemini_cases
import messages_cases
import orjson
import pytest
import responses_cases
from bedrock_stream import frame, stream
from cases import WITHOUT_RECORDINGS, Recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from responses_mw.adapters.base import PARSERS, Adapter, Counts
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.decoding import WRONG_SHAPE, wrong_shape
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.reading import Reading
from responses_mw.deltas import Canonical, Delta, ItemFinished, NativeTurn, UsageReported, singly
from responses_mw.errors import UnsupportedByProvider, UpstreamError, UpstreamProtocolError
from responses_mw.sse import ServerSentEvent
from responses_mw.testing import check_event_order
from responses_mw.testing.play import assemble
from responses_mw.turn import Span, Turn

LONGEST = 30_000
ASK = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "Go on."}],
}
VALUES = (
    None, True, 0, -1, 1.5, 10**30, "", "x", "\ud83d", [], {}, [1], [None], {"a": 1}, [{}],
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    recording: Recording
    adapter: Adapter
    turn: Turn

    def events(self) -> list[ServerSentEvent]:
        parser = PARSERS[self.adapter.framing]()
        return list(parser.feed(self.recording.body + (b"" if self.framed else b"\n\n")))

    @property
    def framed(self) -> bool:
        return self.adapter.framing == "eventstream"

    def joined(self, events: list[ServerSentEvent]) -> bytes:
        if self.framed:
            return b"".join(frame(str(e.event), orjson.Fragment(e.data)) for e in events)
        named = ((b"event: %b\n" % e.event.encode() if e.event else b"", e.data) for e in events)
        return b"".join(b"%bdata: %b\n\n" % said for said in named)


def _cases() -> Iterator[Case]:
    for r in messages_cases.READABLE:
        yield Case(r, messages_cases.ADAPTER, messages_cases.TURN)
    for r in gemini_cases.ANSWERS:
        yield Case(r, gemini_cases.adapter_for(r), gemini_cases.TURN)
    for r in bedrock_cases.ANSWERS:
        yield Case(r, bedrock_cases.ADAPTERS[r.provider], bedrock_cases.turn_of(r))
    for r in chat_cases.chat_recordings():
        yield Case(r, chat_cases.adapter_for(r), chat_cases.TURN)
    for r in responses_cases.ANSWERS:
        yield Case(r, responses_cases.adapter_for(r), responses_cases.turn_of(r))


ADAPTERS: dict[str, Adapter] = {
    "anthropic": messages_cases.ADAPTER,
    "bedrock": bedrock_cases.ADAPTERS["bedrock"],
    "bedrock/invoke": BedrockInvoke(),
    "chat": ChatCompletions(),
    "gemini": gemini_cases.ADAPTERS["gemini"],
    "responses": OpenAIResponses(),
}
CASES: dict[type[Adapter], list[Case]] = {}
for found in _cases():
    if len(found.recording.body) < LONGEST:
        CASES.setdefault(type(found.adapter), []).append(found)

each_adapter = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
at_random = settings(
    derandomize=True,
    database=None,
    max_examples=250,
    deadline=timedelta(seconds=5),
    suppress_health_check=list(HealthCheck),
)


# --- changing


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    places = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in places:
        yield (*path, key)
        if isinstance(entry, dict | list):
            yield from paths(entry, (*path, key))


def nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """JSON, with one to three of its fields dropped, repeated or of another value."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        places = list(paths(value)) if isinstance(value, dict | list) else []
        if not places:
            return value
        *way, key = draw(st.sampled_from(places))
        parent = value
        for step in way:
            parent = parent[step]
        match draw(st.sampled_from(["drop", "replace", "replace", "repeat", "nest"])):
            case "drop":
                del parent[key]
            case "repeat" if isinstance(parent, list):
                parent.append(json.loads(json.dumps(parent[key])))
            case "nest":
                parent[key] = nested(draw(st.sampled_from([150, 230])))
            case _:
                parent[key] = json.loads(json.dumps(draw(st.sampled_from(VALUES))))
    return value


@st.composite
def rewritten(draw: st.DrawFn, event: ServerSentEvent, *, wrapped: bool) -> ServerSentEvent:
    """`wrapped`: the JSON stands in base64 in the event's own."""
    try:
        said = json.loads(event.data)
    except ValueError:
        return event
    if wrapped and "bytes" in said:
        inner = draw(changed(json.loads(base64.b64decode(said["bytes"]))))
        said = {"bytes": base64.b64encode(json.dumps(inner).encode()).decode()}
    else:
        said = draw(changed(said))
    data = json.dumps(said).encode()
    if not wrapped and draw(st.integers(0, 20)) == 20:
        data = data[: draw(st.integers(0, len(data)))] or b"x"
    return event._replace(data=data)


@st.composite
def mutated(draw: st.DrawFn, case: Case) -> bytes:
    if not case.recording.streamed:
        return json.dumps(draw(changed(json.loads(case.recording.body)))).encode()
    events = case.events()
    if not events:
        return case.recording.body
    places = st.integers(0, len(events) - 1)
    match draw(st.sampled_from(["rewrite"] * 5 + ["drop", "swap", "repeat", "cut", "flip"])):
        case "rewrite":
            n = draw(places)
            wrapped = isinstance(case.adapter, BedrockInvoke)
            events[n] = draw(rewritten(events[n], wrapped=wrapped))
        case "drop":
            del events[draw(places)]
        case "swap":
            one, two = draw(places), draw(places)
            events[one], events[two] = events[two], events[one]
        case "repeat":
            events.insert(draw(places), events[draw(places)])
        case "cut":
            body = case.recording.body
            return body[: draw(st.integers(0, len(body)))]
        case "flip":
            spoilt = bytearray(case.recording.body)
            spoilt[draw(st.integers(0, len(spoilt) - 1))] ^= draw(st.integers(1, 255))
            return bytes(spoilt)
    if case.framed and any(_is_broken(event.data) for event in events):
        return b"".join(frame(str(e.event), {"p": e.data.decode("latin-1")}) for e in events)
    return case.joined(events)


def _is_broken(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return True
    return False


# --- reading


def read(case: Case, body: bytes) -> Iterator[Delta]:
    """As the transport does."""
    if not case.recording.streamed:
        try:
            yield from case.adapter.decode(body, case.turn)
        except WRONG_SHAPE as error:
            raise wrong_shape(error, case.adapter.name) from error
        return
    decoder = case.adapter.decoder(case.turn)
    reading, said = Reading(decoder, case.adapter.framing, name=case.adapter.name), list[Delta]()
    try:
        reading.feed(body, said)
    except UpstreamError:
        yield from singly(said)
        raise
    yield from singly(said)
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


def test_items_of_upstreams_that_are_told_by_others_may_hold_anything() -> None:
    call = {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": [5]}}
    asked = Turn(model="claude-sonnet-4-5", spans=[Span([ASK]), Span([call]), Span([ASK])])
    assert messages_cases.ADAPTER.encode(asked).dropped == ("input.web_search_call",)
