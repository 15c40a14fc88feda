"""`responses-mw export`: every turn of an owner or an end user as JSON lines, each once.

Each line ends with the cursor to go on from, so an export that was cut off can be continued.
"""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer

from responses_mw.cli.admin import Config, Store, in_store
from responses_mw.errors import ConfigurationError
from stores.base import SessionStore

_PAGE = 100
_CHUNK = 1024 * 1024
_FIRST = b'{"owner":'
"""What a line begins with."""


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
    """Write turns with all their content as JSON lines."""

    async def exported(found: SessionStore) -> int:
        if out is None:
            return await _write(found, sys.stdout.buffer, after, owner=owner, user=user)
        with _continued(out) as (file, last):
            return await _write(found, file, after or last, owner=owner, user=user)

    count = in_store(store, config, exported)
    print(f"{count} {'turn' if count == 1 else 'turns'} exported", file=sys.stderr)


async def _write(
    store: SessionStore,
    file: BinaryIO,
    after: str | None,
    *,
    owner: str | None,
    user: str | None,
) -> int:
    written = 0
    while turns := await store.export(after=after, owner=owner, user=user, limit=_PAGE):
        for turn in turns:
            values: dict[str, Any] = {
                field.name: getattr(turn, field.name) for field in dataclasses.fields(turn)
            }
            after = values.pop("cursor")
            file.write(orjson.dumps({**values, "cursor": after}) + b"\n")
        file.flush()
        written += len(turns)
    return written


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
