"""Recorded answers of every format, and how to change them: fields dropped, of another type, null,
huge or too deep; events repeated, reordered, missing, cut; bytes flipped.

No test stands here.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import bedrock_cases
import chat_cases
import gemini_cases
import messages_cases
import orjson
import responses_cases
from bedrock_stream import frame
from cases import Recording
from hypothesis import strategies as st

from responses_mw.adapters.base import PARSERS, Adapter
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.sse import ServerSentEvent
from responses_mw.turn import Turn

LONGEST = 30_000
VALUES = (
    None, True, 0, -1, 1.5, 10**30, "", "x", "\ud83d", [], {}, [1], [None], {"a": 1}, [{}],
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    recording: Recording
    adapter: Adapter
    turn: Turn

    @cached_property
    def events(self) -> list[ServerSentEvent]:
        parser = PARSERS[self.adapter.framing]()
        return list(parser.feed(self.recording.body + (b"" if self.framed else b"\n\n")))

    @cached_property
    def kinds(self) -> list[list[int]]:
        """The places of events that are alike: most of a stream says text, and little else."""
        alike: dict[tuple[str | None, int], list[int]] = {}
        for place, event in enumerate(self.events):
            alike.setdefault((event.event, len(event.data) // 40), []).append(place)
        return list(alike.values())

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


CASES: dict[type[Adapter], list[Case]] = {}
for found in _cases():
    if len(found.recording.body) < LONGEST:
        CASES.setdefault(type(found.adapter), []).append(found)


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
    events = list(case.events)
    if not events:
        return case.recording.body
    places = st.integers(0, len(events) - 1)
    match draw(st.sampled_from(["rewrite"] * 5 + ["drop", "swap", "repeat", "cut", "flip"])):
        case "rewrite":
            n = draw(st.sampled_from(draw(st.sampled_from(case.kinds))))
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
