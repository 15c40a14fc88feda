"""Which connections to an upstream are used again, and whom they are made to."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import time
from pathlib import Path
from threading import Thread

import pytest
from both_loops import anyio_backend
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from raw_http import (
    BODY,
    CHUNKS,
    HEADERS,
    LENGTH,
    Serve,
    answered,
    body_of,
    connected,
    post,
    request_from,
    saying,
    serving,
)

from responses_mw.addresses import address_of, without_credentials
from responses_mw.http1 import NoConnection

__all__ = ["anyio_backend"]


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
    assert await connections_used(saying([LENGTH], times=3)) == 1
    assert await connections_used(saying([CHUNKS], times=3)) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        LENGTH + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz",
        LENGTH + b"and more",
    ],
    ids=["asked to close it", "HTTP/1.0", "a second answer", "more than was announced"],
)
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(raw: bytes) -> None:
    assert await connections_used(saying([raw], times=3)) == 3


async def test_a_connection_on_which_something_was_said_between_is_not_used_again() -> None:
    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_from(reader)
        writer.write(LENGTH)
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
                accepted.sendall(LENGTH)
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
        writer.write(LENGTH)
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
        await asyncio.wait_for(gone.wait(), 5)


async def test_giving_up_waiting_for_an_answer_ends_its_connection() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async with serving(silent) as url, connected(url) as connections:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(connections, url), 0.1)
        await asyncio.wait_for(gone.wait(), 5)


# --- whom


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


async def test_a_host_is_looked_up_under_the_name_that_it_is_asked_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An older encoding makes another domain of it, that may be somebody else's."""
    url, asked = "http://stra\u00dfe.invalid", list[str]()

    async def looked_up(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        raise OSError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up)
    async with connected(url) as connections:
        with pytest.raises(NoConnection):
            await post(connections, url)
    assert asked == [address_of(url).netloc]


def test_credentials_of_an_address_become_a_header() -> None:
    assert without_credentials("http://h:1/v1") == ("http://h:1/v1", None)
    assert without_credentials("http://me:p%40ss@h:1/v1") == (
        "http://h:1/v1",
        "Basic bWU6cEBzcw==",
    )
    assert without_credentials("http://a%3Ab@h") == ("http://h", "Basic YTpiOg==")


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
        await saying([CHUNKS], times=3)(reader, writer)

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
