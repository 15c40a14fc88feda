"""`responses-mw export`: the conversations, turns and usage of an owner or an end user as JSON
lines, each once.

Each line ends with the cursor to go on from, so an export that was cut off can be continued.
"""

import contextlib
import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer

from responses_mw.cli.admin import Config, Store, in_store
from responses_mw.errors import ConfigurationError
from stores.base import SessionStore

_PAGE = 100
_CHUNK = 1024 * 1024
_FIRST = b'{"kind":'
"""What a line begins with."""
KINDS = ("conversation", "turn", "usage")
"""In the order they are written. A cursor is one of them and where the store goes on in it."""


def export(
    *,
    owner: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this end user's.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A file to write, or to go on with where it ends. Else the output."),
    ] = None,
    after: Annotated[str | None, typer.Option(help="The cursor of the last line you have.")] = None,
    config: Config = None,
    store: Store = None,
) -> None:
    """Write conversations, turns with all their content, and usage as JSON lines."""

    async def exported(found: SessionStore) -> Counter[str]:
        if out is None:
            return await _write(found, sys.stdout.buffer, after, owner=owner, user=user)
        with _continued(out) as (file, last):
            return await _write(found, file, after or last, owner=owner, user=user)

    count = in_store(store, config, exported)
    told = ", ".join(f"{count[kind]} {kind}" for kind in KINDS)
    print(f"lines exported: {told}", file=sys.stderr)


async def _write(
    store: SessionStore,
    file: BinaryIO,
    after: str | None,
    *,
    owner: str | None,
    user: str | None,
) -> Counter[str]:
    pages: dict[str, Callable[..., Awaitable[Sequence[Any]]]] = {
        "conversation": store.export_conversations,
        "turn": store.export,
        "usage": store.export_usage,
    }
    first, place = _place(after)
    written: Counter[str] = Counter()
    for kind in KINDS[KINDS.index(first) :]:
        cursor = place if kind == first else None
        while rows := await pages[kind](after=cursor, owner=owner, user=user, limit=_PAGE):
            file.writelines(_line(kind, row) for row in rows)
            file.flush()
            cursor = rows[-1].cursor
            written[kind] += len(rows)
    return written


def _place(cursor: str | None) -> tuple[str, str | None]:
    if cursor is None:
        return KINDS[0], None
    kind, _, place = cursor.partition(":")
    if kind not in KINDS or not place:
        raise ConfigurationError(f"{cursor[:50]!r} is no cursor of an export: take the last line's")
    return kind, place


def _line(kind: str, row: Any) -> bytes:
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    cursor = f"{kind}:{values.pop('cursor')}"
    return orjson.dumps({"kind": kind, **values, "cursor": cursor}) + b"\n"


@contextlib.contextmanager
def _continued(path: Path) -> Iterator[tuple[BinaryIO, str | None]]:
    """The file, behind its last whole line, and that line's cursor. Raises ConfigurationError for
    a file that is something else, and leaves it as it was."""
    try:
        with path.open("ab+") as file:
            last, end = _last_line(file)
            cursor = None if last is None else _cursor(last, path)
            file.truncate(end)
            yield file, cursor
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def _last_line(file: BinaryIO) -> tuple[bytes | None, int]:
    """The last line that was written whole, and where it ends. Of a file with none, all of it, so
    that a first line that was cut off is not taken for nothing."""
    start, tail = file.seek(0, os.SEEK_END), b""
    while start > 0:
        size = min(_CHUNK, start)
        start -= size
        file.seek(start)
        tail = file.read(size) + tail
        *lines, rest = tail.split(b"\n")
        if len(lines) > 1 or (start == 0 and lines):
            return lines[-1], start + len(tail) - len(rest)
    return (None, 0) if tail.startswith(_FIRST) or not tail else (tail, 0)


def _cursor(line: bytes, path: Path) -> str:
    try:
        cursor = orjson.loads(line)["cursor"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        cursor = None
    if not isinstance(cursor, str):
        raise ConfigurationError(f"{path} is no export: its last line has no cursor")
    return cursor
