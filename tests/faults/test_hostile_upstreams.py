"""Recorded answers, mutated: whatever an upstream says, the response has one end.

Values are replaced inside the JSON, and bytes are flipped, dropped and repeated around it.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from cases import Recording, needs_recordings, recorded
from speeches import SPEECHES
from tally import Tried

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import PARSERS, Adapter
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.decoding import well_formed
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.adapters.upstream_errors import MAX_MESSAGE, upstream_error
from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import Delta
from responses_mw.errors import ResponsesError
from responses_mw.http import encode_events
from responses_mw.sse import SSEParser
from responses_mw.testing import play_recording
from responses_mw.testing.play import created
from responses_mw.turn import Turn

ADAPTERS: dict[str, Callable[[], Adapter]] = {
    "anthropic": AnthropicMessages,
    "bedrock": BedrockConverse,
    "gemini": Gemini,
    "groq": ChatCompletions,
    "mistral": ChatCompletions,
    "openai": OpenAIResponses,
    "openai_chat": ChatCompletions,
}
SECONDS = 1.5
"""For each adapter."""
TERMINAL = ("response.completed", "response.failed", "response.incomplete")
LARGEST = 40_000
SLOWEST_S = 2.0
WEIRD: list[Any] = [
    None, True, -1, 0, 2**63, -(2**63), 1e308, 0.5, "", "\x00", "\u202e\ud7ff", "x" * 5000, [], {},
    [None], [[]], {"type": None}, {"": {}}, [{"type": "text", "text": None}], "in_progress",
    "tool_use", "\r\nx-evil: 1", "../../etc/passwd", "' OR 1=1 --",
]  # fmt: skip


def heard(adapter: Adapter, body: bytes, *, whole: bool) -> list[Any]:
    """The events of a generation that hears this."""
    turn = Turn(model="recorded", spans=(), stream=not whole)
    assembler = ResponseAssembler(created())
    events = assembler.start()
    try:
        with well_formed(adapter.name):
            for delta in adapter.decode(body, turn) if whole else _streamed(adapter, turn, body):
                events += assembler.feed(delta)
        return events + assembler.finish()
    except ResponsesError as error:
        return events + assembler.fail(error)


def _streamed(adapter: Adapter, turn: Turn, body: bytes) -> Iterator[Delta]:
    parser, decoder = PARSERS[adapter.framing](), adapter.decoder(turn)
    for event in parser.feed(body):
        yield from decoder.feed(event)
    yield from decoder.close()


def mutations(recording: Recording, dice: random.Random) -> Iterator[bytes]:
    """Without end."""
    body = recording.body
    while True:
        mutated = body
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            mutated = dice.choice((revalued, revalued, revalued, damaged))(mutated, dice)
        yield mutated


def revalued(body: bytes, dice: random.Random) -> bytes:
    """One value of one JSON object becomes another."""
    objects = list(re.finditer(rb"^(?:data: ?)?(\{.*\})\s*$", body, re.MULTILINE))
    found = dice.choice(objects) if objects else re.match(rb"\s*(\{.*\})\s*\Z", body, re.DOTALL)
    if found is None:
        return damaged(body, dice)
    start, end = found.span(1)
    try:
        value = orjson.loads(body[start:end])
    except orjson.JSONDecodeError:
        return damaged(body, dice)
    places = list(_places(value))
    holder, key = dice.choice(places) if places else ({}, "")
    if dice.random() < 0.2 and isinstance(holder, dict):
        holder.pop(key, None)
    else:
        holder[key] = dice.choice(WEIRD)
    return body[:start] + orjson.dumps(value) + body[end:]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    entries: list[Any] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, entry in entries:
        yield value, key
        yield from _places(entry)


def damaged(body: bytes, dice: random.Random) -> bytes:
    if not body:
        return b"\xff"
    at = dice.randrange(len(body))
    upto = min(len(body), at + dice.choice((1, 1, 7, 200)))
    match dice.randrange(4):
        case 0:
            return body[:at] + body[upto:]
        case 1:
            return body[:upto] + body[at:upto] * dice.choice((1, 3)) + body[upto:]
        case 2:
            return body[:at] + dice.randbytes(upto - at) + body[upto:]
        case _:
            return body[:at] + b"\n\n" + body[at:]


@needs_recordings
@pytest.mark.parametrize("provider", ADAPTERS)
def test_a_mutated_answer_has_one_end(provider: str, tried: Tried) -> None:
    dice = random.Random(provider)
    chosen = [
        r
        for r in recorded(provider, status=200)
        if r.path.suffix in (".sse", ".json", ".b64") and len(r.body) < LARGEST
    ]
    dice.shuffle(chosen)
    sources = [(r, mutations(r, dice)) for r in chosen[:25]]
    adapter = ADAPTERS[provider]()
    deadline = time.monotonic() + SECONDS
    answers = 0
    while time.monotonic() < deadline:
        recording, source = dice.choice(sources)
        mutated = next(source)
        begun = time.monotonic()
        events = heard(adapter, mutated, whole=not recording.streamed)
        assert time.monotonic() - begun < SLOWEST_S
        answers += 1
        ends = [event for event in events if event["type"] in TERMINAL]
        assert ends == events[-1:]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        orjson.dumps(events)
    assert answers > 50
    tried("mutated answers", answers)


def test_the_parser_takes_any_bytes_in_any_pieces() -> None:
    dice = random.Random(1)
    alphabet = [b"data:", b"data: x", b"event: y", b"id: 1", b": z", b"\r", b"\n", b"\r\n", b"\xff"]
    for _ in range(2000):
        stream = b"".join(dice.choices(alphabet, k=dice.randrange(1, 30)))
        at_once = SSEParser().feed(stream)
        parser = SSEParser()
        in_pieces = [event for byte in stream for event in parser.feed(bytes([byte]))]
        assert in_pieces == at_once, stream


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000])
@pytest.mark.parametrize("adapter", [AnthropicMessages, ChatCompletions, Gemini, OpenAIResponses])
def test_deep_json_ends_in_an_upstream_error(adapter: Callable[[], Adapter], deep: bytes) -> None:
    events = play_recording(adapter(), b"data: " + deep + b"\n\n", whole=False)
    assert events[-1]["type"] == "response.failed"


@pytest.mark.parametrize(
    "type", ["x\ndata: {}\n\nevent: response.completed", "x\r\r", "", "\u2028", "x" * 5000]
)
@pytest.mark.parametrize("about", [{"output_index": 0}, {"output_index": 7}, {}, {"item_id": "x"}])
def test_the_name_of_an_event_begins_no_other_event(type: str, about: dict[str, Any]) -> None:
    speech = SPEECHES["responses"]
    forged = orjson.dumps({"type": type, "response": {"status": "completed"}, **about})
    body = speech.beginning + b"data: " + forged + b"\n\n"
    events = play_recording(speech.adapter(), body, whole=False)
    told = SSEParser().feed(encode_events(list(events)))
    assert [one.event for one in told] == [event["type"] for event in events]
    assert type not in [event["type"] for event in events]
    assert events[-1]["type"] == "response.failed"


@pytest.mark.parametrize("status", [400, 401, 403, 500])
@pytest.mark.parametrize("word", ["a", "<", "sk-", "1", "prompt ", "input token count ", "{"])
def test_a_long_error_is_read_in_no_time(word: str, status: int) -> None:
    message = (word * LARGEST)[: 64 * 1024]
    begun = time.process_time()
    error = upstream_error(status, {}, orjson.dumps({"error": message}), provider="x")
    assert time.process_time() - begun < 0.5
    assert len(error.message) <= MAX_MESSAGE
