"""Plays an upstream's bytes through an adapter and the assembler, without I/O.

What the transport does between socket and assembler is repeated here, and nothing else.
"""

import base64
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from responses_mw.adapters.base import PARSERS, Adapter
from responses_mw.adapters.decoding import well_formed
from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import Delta
from responses_mw.envelope import response_body
from responses_mw.errors import UpstreamError
from responses_mw.schema import CreateRequest
from responses_mw.turn import Turn

Event = dict[str, Any]


def play_recording(
    adapter: Adapter,
    recording: Path | str | bytes,
    *,
    chunk: int | None = None,
    turn: Turn | None = None,
    whole: bool | None = None,
) -> list[Event]:
    """The events that an answer with status 200 becomes; an upstream's mistake ends in `failed`.

    A streamed answer is fed in pieces of `chunk` bytes (None: all at once). `whole` says that the
    bytes are one answer rather than a stream; by default, that is what a file named `.json` holds.
    A file named `.b64` is decoded first.
    """
    body = recording if isinstance(recording, bytes) else _read(Path(recording))
    if whole is None:
        whole = not isinstance(recording, bytes) and Path(recording).suffix == ".json"
    turn = turn or Turn(model="recorded", spans=(), stream=not whole)
    return assemble(_heard(adapter, turn, body, whole=whole, chunk=chunk))


def _read(path: Path) -> bytes:
    raw = path.read_bytes()
    return base64.b64decode(raw) if path.suffix == ".b64" else raw


def _heard(
    adapter: Adapter, turn: Turn, body: bytes, *, whole: bool, chunk: int | None
) -> Iterator[Delta]:
    with well_formed(adapter.name):
        if whole:
            yield from adapter.decode(body, turn)
        else:
            yield from _stream(adapter, turn, body, chunk)


def _stream(adapter: Adapter, turn: Turn, body: bytes, chunk: int | None) -> Iterator[Delta]:
    parser = PARSERS[adapter.framing]()
    decoder = adapter.decoder(turn)
    size = chunk or max(1, len(body))
    for start in range(0, len(body), size):
        for event in parser.feed(body[start : start + size]):
            yield from decoder.feed(event)
    yield from decoder.close()


def assemble(deltas: Iterable[Delta], *, now: Callable[[], float] = time.time) -> list[Event]:
    """The events of a whole response that says these deltas."""
    assembler = ResponseAssembler(created(), now=now)
    events = assembler.start()
    try:
        for delta in deltas:
            events += assembler.feed(delta)
    except UpstreamError as error:
        return events + assembler.fail(error)
    return events + assembler.finish()


def created() -> Event:
    """A response as it stands before anything was said, of a request that set no option."""
    request = CreateRequest.of({"model": "recorded", "input": "Hello."})
    return response_body(request, id="resp_" + "0" * 32, created_at=0, model=request.model)
