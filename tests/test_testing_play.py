"""play_recording feeds an adapter as a transport would: whole or streamed, in any pieces."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from responses_mw.adapters.base import Framing, UpstreamRequest
from responses_mw.deltas import Delta, Stopped, TextDelta
from responses_mw.errors import UpstreamError, UpstreamProtocolError
from responses_mw.sse import ServerSentEvent
from responses_mw.testing import check_event_order, play_recording
from responses_mw.turn import Turn


class Lines:
    """A wire format of its own: each event is a JSON string, the last one is null."""

    name = "lines"

    def __init__(self, framing: Framing = "sse") -> None:
        self.framing: Framing = framing
        self.turns: list[Turn] = []

    def scope(self, turn: Turn) -> str:
        return self.name

    def encode(self, turn: Turn) -> UpstreamRequest:
        return UpstreamRequest("/lines", {})

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        self.turns.append(turn)
        yield TextDelta(json.loads(body))
        yield Stopped()

    def decoder(self, turn: Turn) -> "LinesDecoder":
        self.turns.append(turn)
        return LinesDecoder()

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return UpstreamProtocolError(f"HTTP {status}")


class LinesDecoder:
    def __init__(self) -> None:
        self.ended = False

    def feed(self, event: ServerSentEvent) -> Iterator[Delta]:
        value = json.loads(event.data)
        if value is None:
            self.ended = True
        else:
            yield TextDelta(value)

    def close(self) -> Iterator[Delta]:
        if not self.ended:
            raise UpstreamProtocolError("the stream ended without null")
        yield Stopped()


SSE = b'data: "Hello "\n\ndata: "you"\n\ndata: null\n\n'
NDJSON = b'"Hello "\n"you"\nnull\n'


def final(events: list[dict[str, Any]]) -> dict[str, Any]:
    check_event_order(events)
    return events[-1]["response"]


def said(response: Mapping[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


@pytest.mark.parametrize("chunk", [None, 1, 7, 10**6])
@pytest.mark.parametrize(("framing", "body"), [("sse", SSE), ("ndjson", NDJSON)])
def test_a_stream_gives_the_same_events_in_any_pieces(
    framing: Framing, body: bytes, chunk: int | None
) -> None:
    events = play_recording(Lines(framing), body, chunk=chunk)
    assert said(final(events)) == "Hello you"
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [event["delta"] for event in deltas] == ["Hello ", "you"]


def test_a_stream_that_was_cut_ends_in_failed_with_what_was_said() -> None:
    response = final(play_recording(Lines(), SSE[:-12]))
    assert response["status"] == "failed"
    assert response["error"]["code"] == "upstream_protocol_error"
    assert said(response) == "Hello you"


def test_no_bytes_at_all_end_in_failed() -> None:
    assert final(play_recording(Lines(), b""))["status"] == "failed"


def test_files_are_read_by_their_names(tmp_path: Path) -> None:
    whole, stream = tmp_path / "a.json", tmp_path / "b.sse"
    encoded = tmp_path / "c.sse.b64"
    whole.write_bytes(b'"Hello you"')
    stream.write_bytes(SSE)
    encoded.write_bytes(base64.b64encode(SSE))
    for path in (whole, stream, str(stream), encoded):
        assert said(final(play_recording(Lines(), path))) == "Hello you"


def test_the_adapter_is_told_how_the_turn_was_asked() -> None:
    adapter = Lines()
    play_recording(adapter, b'"Hello"', whole=True)
    play_recording(adapter, SSE)
    given = Turn(model="mine", spans=())
    play_recording(adapter, SSE, turn=given)
    assert [turn.stream for turn in adapter.turns[:2]] == [False, True]
    assert adapter.turns[2] is given
