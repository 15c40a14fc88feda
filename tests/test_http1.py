"""HTTP/1.1 as upstreams speak it, well and badly, over real sockets."""

import asyncio
import random

import pytest
from both_loops import anyio_backend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_http import (
    CHUNKS,
    LENGTH,
    answered,
    body_of,
    connected,
    post,
    request_from,
    saying,
    serving,
)

from responses_mw.http1 import ConnectionBroke

__all__ = ["anyio_backend"]

WELL = {
    "length": (LENGTH, b"abc"),
    "chunks": (CHUNKS, b"abc"),
    "trailers": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n",
        b"abc",
    ),
    "empty": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    "no chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b""),
    "none": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "hints": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"abc",
    ),
}
WELL |= {
    "a header in two lines": (LENGTH.replace(b"\r\n\r\n", b"\r\nX: y,\r\n z\r\n\r\n"), b"abc"),
    "lines without returns": (LENGTH.replace(b"\r", b""), b"abc"),
    "spaces behind a size": (CHUNKS.replace(b"2;x=y", b"2  "), b"abc"),
}
UNTIL_CLOSED = (b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nabc", b"abc")

BROKEN = {
    "nothing": (b"", "without an answer"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n", "no HTTP"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", "without an answer"),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "in mid-answer"),
    "no last chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "in mid-answer",
    ),
    "no chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nabcxyz\r\n", "no HTTP"),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "no HTTP",
    ),
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "no HTTP",
    ),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "another protocol",
    ),
    "no status": (b"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n", "no HTTP"),
    "no end of trailers": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 200_000,
        "trailers are longer than",
    ),
    "no end of headers": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "longer than"),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("name", WELL)
async def test_an_answer_is_read_however_it_is_framed(name: str, bytewise: bool) -> None:
    raw, body = WELL[name]
    pieces = [raw[n : n + 1] for n in range(len(raw))] if bytewise else [raw]
    async with serving(saying(pieces)) as url:
        assert await answered(url) == (204 if name == "none" else 200, body)


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    raw, body = UNTIL_CLOSED
    async with serving(saying([raw], stays=False)) as url:
        assert await answered(url) == (200, body)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=50), max_size=20),
    seed=st.integers(0, 2**32),
)
async def test_a_body_is_what_was_sent_wherever_the_network_cuts_it(
    chunks: list[bytes], seed: int
) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    dice = random.Random(seed)
    cuts = sorted(dice.choices(range(len(raw)), k=dice.choice((0, 1, 5))))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    async with serving(saying(pieces)) as url:
        assert await answered(url) == (200, b"".join(chunks))


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_answer_is_a_broken_connection(name: str) -> None:
    raw, reason = BROKEN[name]
    async with serving(saying([raw], stays=False)) as url:
        with pytest.raises(ConnectionBroke, match=reason):
            await answered(url)


async def test_what_came_before_the_break_is_read_first() -> None:
    async with (
        serving(saying([BROKEN["half a body"][0]], stays=False)) as url,
        connected(url) as connections,
    ):
        answer = await post(connections, url)
        assert await answer.read() == b"abc"
        with pytest.raises(ConnectionBroke):
            await answer.read()


async def test_headers_are_told_in_lower_case_and_joined() -> None:
    raw = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nVia: a\r\nVIA: b\r\nContent-Length: 0\r\n\r\n"
    async with serving(saying([raw])) as url, connected(url) as connections:
        answer = await post(connections, url)
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
        assert answer.headers["via"] == "a, b"


# --- time and memory


async def test_silence_is_not_waited_out() -> None:
    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await reader.read()

    async with serving(stalls) as url, connected(url, silence_s=0.1) as connections:
        answer = await post(connections, url)
        assert await answer.read() == b"abc"
        with pytest.raises(TimeoutError):
            await answer.read()


async def test_an_upstream_that_is_slow_but_not_silent_is_heard_out() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        for n in range(0, len(CHUNKS), 8):
            writer.write(CHUNKS[n : n + 8])
            await asyncio.sleep(0.04)

    async with serving(slow) as url, connected(url, silence_s=0.15) as connections:
        assert await body_of(await post(connections, url)) == b"abc"


async def test_an_upstream_is_not_called_silent_while_nobody_listens() -> None:
    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        await asyncio.sleep(0.35)
        writer.write(b"def")
        await reader.read()

    async with serving(waits) as url, connected(url, silence_s=0.1) as connections:
        answer = await post(connections, url)
        assert await answer.read() == b"abc"
        await asyncio.sleep(0.4)
        assert await answer.read() == b"def"


async def test_an_upstream_that_had_to_wait_was_not_silent() -> None:
    many = bytes(256 * 1024 + 1)  # after the last of them nothing more is read

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(many) + 3))
        await asyncio.sleep(0.02)
        writer.write(many)
        await asyncio.sleep(0.5)
        writer.write(b"abc")
        await reader.read()

    async with serving(waits) as url, connected(url, silence_s=0.2) as connections:
        answer = await post(connections, url)
        await asyncio.sleep(0.35)
        assert await body_of(answer) == many + b"abc"


async def test_what_nobody_reads_waits_with_its_sender() -> None:
    piece, pieces, sent = bytes(65_536), 1_000, 0

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_from(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * pieces))
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
            sent += 1

    async with serving(floods) as url, connected(url) as connections:
        answer = await post(connections, url)
        await asyncio.sleep(0.3)
        assert sent < pieces / 2
        assert len(await body_of(answer)) == len(piece) * pieces
