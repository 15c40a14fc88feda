"""HTTP/1.1 as upstreams speak it, well and badly, over real sockets."""

import asyncio
import contextlib
import datetime
import ipaddress
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from responses_mw.addresses import address_of, without_credentials
from responses_mw.connections import Answer, Connections, connections_to
from responses_mw.http1 import ConnectionBroke, NoConnection

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEADERS = {"host": "upstream", "content-length": "2"}
BODY = b"{}"

WELL = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
    "chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n",
        b"abc",
    ),
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
    "no end of headers": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "longer than"),
}


@contextlib.asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of a server that does so with each connection, and closes it then."""

    tasks: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    scheme = "https" if context else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            assert task is not None
            await asyncio.wait_for(task, 1)


async def request_from(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(len(BODY))


def saying(pieces: Sequence[bytes], *, stays: bool = True, times: int = 1) -> Serve:
    """`stays`: until the other side goes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            await request_from(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if len(pieces) > 1:
                    await asyncio.sleep(0)
        if stays:
            await reader.read()

    return serve


@contextlib.asynccontextmanager
async def connected(url: str, *, silence_s: float = 2.0) -> AsyncIterator[Connections]:
    connections = connections_to(url, connect_s=1.0, silence_s=silence_s)
    try:
        yield connections
    finally:
        await connections.aclose()


async def post(connections: Connections, url: str) -> Answer:
    return await connections.post(address_of(f"{url}/say"), HEADERS, BODY)


async def body_of(answer: Answer) -> bytes:
    chunks = []
    while chunk := await answer.read():
        chunks.append(chunk)
    return b"".join(chunks)


async def answered(url: str) -> tuple[int, bytes]:
    async with connected(url) as connections:
        answer = await post(connections, url)
        return answer.status, await body_of(answer)


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


# --- which connections are used again


async def connections_used(serve: Serve, *, requests: int = 3, pause_s: float = 0.0) -> int:
    used = 0

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal used
        used += 1
        await serve(reader, writer)

    async with serving(counting) as url, connected(url) as connections:
        for _ in range(requests):
            assert await body_of(await post(connections, url)) == b"abc"
            await asyncio.sleep(pause_s)
    return used


async def test_a_connection_is_used_again() -> None:
    assert await connections_used(saying([WELL["length"][0]], times=3)) == 1
    assert await connections_used(saying([WELL["chunks"][0]], times=3)) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        WELL["length"][0] + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz",
        WELL["length"][0] + b"and more",
    ],
    ids=["asked to close it", "HTTP/1.0", "a second answer", "more than was announced"],
)
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(raw: bytes) -> None:
    assert await connections_used(saying([raw], times=3)) == 3


async def test_a_connection_on_which_something_was_said_between_is_not_used_again() -> None:
    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(WELL["length"][0])
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await reader.read()

    assert await connections_used(talkative, pause_s=0.05) == 3


async def test_a_connection_that_was_closed_unnoticed_is_not_used_again() -> None:
    """The event loop is kept from seeing it: it is looked at before it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def serve() -> None:
        for _ in range(2):
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(65_536)
                accepted.sendall(WELL["length"][0])
                time.sleep(0.05)

    thread = Thread(target=serve)
    thread.start()
    async with connected(url) as connections:
        for _ in range(2):
            assert await body_of(await post(connections, url)) == b"abc"
            time.sleep(0.15)  # noqa: ASYNC251 - the loop must not see it
    thread.join()
    listener.close()


async def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("responses_mw.connections._IDLE_NEARBY_S", 0.1)
    closed: list[float] = []

    async def until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(WELL["length"][0])
        await reader.read()
        closed.append(time.monotonic())

    async with serving(until_closed) as url, connected(url) as connections:
        first, second = await asyncio.gather(post(connections, url), post(connections, url))
        assert await body_of(first) == await body_of(second) == b"abc"
        began = time.monotonic()
        await asyncio.sleep(0.3)
        assert len(closed) == 2
    assert all(0.05 < moment - began < 0.25 for moment in closed)


async def test_leaving_an_answer_ends_its_connection() -> None:
    gone = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await reader.read()
        gone.set()

    async with serving(endless) as url, connected(url) as connections:
        answer = await post(connections, url)
        assert await answer.read() == b"abc"
        await answer.aclose()
        await asyncio.wait_for(gone.wait(), 1)


async def test_giving_up_waiting_for_an_answer_ends_its_connection() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async with serving(silent) as url, connected(url) as connections:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(connections, url), 0.1)
        await asyncio.wait_for(gone.wait(), 1)


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
        raw, _ = WELL["chunks"]
        for n in range(0, len(raw), 8):
            writer.write(raw[n : n + 8])
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


# --- what is asked


async def test_a_header_cannot_bring_others_with_it() -> None:
    asked: list[bytes] = []

    async def noting(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.append(await reader.read())

    async with serving(noting) as url, connected(url) as connections:
        for value in ("a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b"):
            with pytest.raises(ValueError, match="x-fine"):
                await connections.post(address_of(url), {**HEADERS, "x-fine": value}, BODY)
    assert set(asked) <= {b""}


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid", "http://" + "a" * 64 + ".invalid", "http://x..y"]
)
async def test_a_host_that_is_not_there_was_never_asked(url: str) -> None:
    async with connected(url) as connections:
        with pytest.raises(NoConnection):
            await post(connections, url)


def test_credentials_of_an_address_become_a_header() -> None:
    assert without_credentials("http://h:1/v1") == ("http://h:1/v1", None)
    assert without_credentials("http://me:p%40ss@h:1/v1") == (
        "http://h:1/v1",
        "Basic bWU6cEBzcw==",
    )


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_tls_is_spoken_and_its_connections_are_used_again(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    used = 0

    async def counting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal used
        used += 1
        await saying([WELL["chunks"][0]], times=3)(reader, writer)

    async with serving(counting, tls(certificate)) as url, connected(url) as connections:
        for _ in range(3):
            assert await body_of(await post(connections, url)) == b"abc"
            await asyncio.sleep(0.02)
    assert used == 1


async def test_a_stranger_is_told_nothing(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one whose certificate nobody vouches for, nor one that has another name."""
    heard: list[bytes] = []

    async def noting(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    async with serving(noting, tls(certificate)) as url:
        with pytest.raises(NoConnection, match="certificate verify failed"):
            await answered(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        with pytest.raises(NoConnection, match="mismatch"):
            await answered(url.replace("127.0.0.1", "localhost"))
    assert set(heard) <= {b""}
