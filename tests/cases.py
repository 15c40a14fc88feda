"""Recorded exchanges with real providers, for any test to choose from.

Only choosing, reading and cutting live here; what an exchange means is the test's business.
Recordings are looked for in `$RESPONSES_MW_SHARED/recordings` (default: `../shared` beside the
repository) and, for what may be committed, in `tests/recordings`.
"""

import base64
import json
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

SHARED_VARIABLE = "RESPONSES_MW_SHARED"
REPOSITORY = Path(__file__).parent.parent
COMMITTED = REPOSITORY / "tests" / "recordings"


def shared_folder() -> Path | None:
    """The folder with the material that is not committed; None where it is not at hand.

    Whoever names a folder wants it read: a named one that is missing ends the run.
    """
    named = os.environ.get(SHARED_VARIABLE)
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    if (folder / "recordings").is_dir():
        return folder
    if named:
        raise pytest.UsageError(f"{SHARED_VARIABLE} is {named!r}, which has no folder `recordings`")
    return None


SHARED = shared_folder()
WITHOUT_RECORDINGS = f"no recordings: {SHARED_VARIABLE} is unset and ../shared is not there"
needs_recordings = pytest.mark.skipif(SHARED is None, reason=WITHOUT_RECORDINGS)


@dataclass(frozen=True)
class Recording:
    """One exchange. `kind` is the answer's framing: json (whole), sse, ndjson or eventstream."""

    id: str
    provider: str
    kind: str
    status: int
    features: frozenset[str]
    meta: dict[str, Any] = field(repr=False, compare=False, hash=False)
    path: Path = field(repr=False, compare=False, hash=False)
    """The file with the answer's bytes."""

    def __str__(self) -> str:
        return self.id

    @property
    def url(self) -> str:
        """Empty for fixtures, of which only the answer is known."""
        return str(self.meta.get("url", ""))

    @property
    def streamed(self) -> bool:
        return self.kind != "json"

    @cached_property
    def request(self) -> dict[str, Any] | None:
        path = self.path.with_name(self.path.name.split(".response.")[0] + ".request.json")
        return json.loads(path.read_bytes()) if path.exists() else None

    @cached_property
    def body(self) -> bytes:
        raw = self.path.read_bytes()
        return base64.b64decode(raw) if self.path.suffix == ".b64" else raw

    @cached_property
    def frame_ends(self) -> list[int]:
        """The offsets in `body` at which a frame is complete; a whole answer is one frame."""
        match self.kind:
            case "sse":
                return [found.end() for found in re.finditer(rb"(?>\r\n|\n|\r){2}", self.body)]
            case "ndjson":
                return [found.end() for found in re.finditer(rb"\n", self.body)]
            case "eventstream":
                return list(_message_ends(self.body))
            case _:
                return [len(self.body)]


def recorded(
    *providers: str, kind: str | None = None, status: int | None = None
) -> list[Recording]:
    """The recordings of these providers (of all, without any), in a stable order."""
    found: dict[str, Recording] = {}
    for root in _roots():
        for path in root.glob("*/*.meta.json"):
            if not providers or path.parent.name in providers:
                recording = _read(path)
                found.setdefault(recording.id, recording)
    return [
        found[id]
        for id in sorted(found)
        if kind in (None, found[id].kind) and status in (None, found[id].status)
    ]


def one_stream_per_vendor_and_feature(recordings: Iterable[Recording]) -> list[Recording]:
    """Good streams that show every feature of every provider once: the shortest that has it."""
    chosen: dict[tuple[str, str], Recording] = {}
    for recording in recordings:
        if recording.streamed and recording.status == 200:
            for feature in recording.features:
                key = (recording.provider, feature)
                if key not in chosen or len(recording.body) < len(chosen[key].body):
                    chosen[key] = recording
    return sorted(set(chosen.values()), key=str)


def truncations(recording: Recording, *, at_most: int | None = None) -> Iterator[bytes]:
    """The answer cut short after each of its frames, from none of them on.

    `at_most` takes that many cuts, evenly spread, the first and the last among them.
    """
    ends = [0, *(end for end in recording.frame_ends if end < len(recording.body))]
    if at_most is not None and len(ends) > at_most:
        step = (len(ends) - 1) / (at_most - 1)
        ends = [ends[round(step * n)] for n in range(at_most)]
    for end in ends:
        yield recording.body[:end]


def _roots() -> list[Path]:
    shared = [] if SHARED is None else [SHARED / "recordings"]
    return [root for root in (*shared, COMMITTED) if root.is_dir()]


def _read(path: Path) -> Recording:
    meta = json.loads(path.read_bytes())
    return Recording(
        id=meta["id"],
        provider=meta["provider"],
        kind=meta["kind"],
        status=meta["status"],
        features=frozenset(meta["features"]),
        meta=meta,
        path=path.with_name(meta["response_file"]),
    )


def _message_ends(body: bytes) -> Iterator[int]:
    """AWS event-stream: each message begins with its own length."""
    end = 0
    while end < len(body):
        (length,) = struct.unpack_from(">I", body, end)
        end += length
        yield end
