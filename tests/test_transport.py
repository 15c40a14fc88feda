"""Speaking to upstreams over real sockets: what they say, and how they fail."""

import asyncio
import gzip
import socket
from typing import ClassVar

import pytest
from both_loops import anyio_backend
from upstream import Exchange, upstream
from wordy import ASK, ASK_WHOLE, Asking, Words, ask, providers, texts, three_words

from responses_mw.connections import Decoded, read_body
from responses_mw.deltas import TextDelta, UpstreamInfo
from responses_mw.errors import (
    UpstreamProtocolError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from responses_mw.transport import HTTPProvider
from responses_mw.turn import Turn

__all__ = ["anyio_backend", "ask", "providers"]


async def test_a_stream_begins_with_what_was_accepted(ask: Asking) -> None:
    async with upstream(three_words) as server:
        deltas = await ask(server.url)
    assert deltas[0] == UpstreamInfo(dropped=("top_p",))
    assert texts(deltas) == ["one", "two", "three"]
    (exchange,) = server.exchanges
    assert (exchange.method, exchange.path, exchange.json) == ("POST", "/say", {"stream": True})
    assert exchange.headers["authorization"] == "Bearer sk-x"
    assert exchange.headers["x-extra"] == "1"


async def test_json_lines_are_framed_like_events(ask: Asking) -> None:
    async def lines(exchange: Exchange) -> None:
        await exchange.head(200, {"content-type": "application/x-ndjson", "connection": "close"})
        await exchange.send(b'"one"\n"two"\nnull\n')
        exchange.writer.close()

    async with upstream(lines) as server:
        assert texts(await ask(server.url, framing="ndjson")) == ["one", "two"]


async def test_a_whole_answer_is_asked_for_and_read_whole(ask: Asking) -> None:
    async def whole(exchange: Exchange) -> None:
        await exchange.whole("all of it", request_id="req_1")

    async with upstream(whole) as server:
        deltas = await ask(server.url, ASK_WHOLE)
    assert deltas[0] == UpstreamInfo(upstream_id="req_1", dropped=("top_p",))
    assert texts(deltas) == ["all of it"]
    assert server.exchanges[0].json == {"stream": False}


async def test_an_upstream_that_does_not_stream_is_read_whole(ask: Asking) -> None:
    async def whole(exchange: Exchange) -> None:
        await exchange.whole("all of it")

    async with upstream(whole) as server:
        assert texts(await ask(server.url)) == ["all of it"]


async def test_a_media_type_has_no_case(ask: Asking) -> None:
    async def whole(exchange: Exchange) -> None:
        await exchange.whole("all of it", content_type="Application/JSON")

    async with upstream(whole) as server:
        assert texts(await ask(server.url)) == ["all of it"]


async def test_a_compressed_stream_is_read(ask: Asking) -> None:
    async def compressed(exchange: Exchange) -> None:
        head = {"content-type": "text/event-stream", "content-encoding": "gzip"}
        await exchange.head(200, {**head, "connection": "close"})
        await exchange.send(gzip.compress(b'data: "squeezed"\n\ndata: null\n\n'))
        exchange.writer.close()

    async with upstream(compressed) as server:
        assert texts(await ask(server.url)) == ["squeezed"]


async def test_a_broken_encoding_is_the_upstreams_error(ask: Asking) -> None:
    async def broken(exchange: Exchange) -> None:
        await exchange.whole(b"not gzip at all", content_encoding="gzip")

    async with upstream(broken) as server:
        with pytest.raises(UpstreamProtocolError, match="content-encoding"):
            await ask(server.url, ASK_WHOLE)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip"])
async def test_a_coding_that_was_not_asked_for_is_named(ask: Asking, coding: str) -> None:
    async def packed(exchange: Exchange) -> None:
        await exchange.whole(b"...", content_encoding=coding)

    async with upstream(packed) as server:
        with pytest.raises(UpstreamProtocolError, match=f"content-encoding '{coding}'"):
            await ask(server.url, ASK_WHOLE)


@pytest.mark.parametrize("coding", ["none", "identity", "\xff"])
async def test_a_coding_that_nobody_knows_says_nothing(ask: Asking, coding: str) -> None:
    async def plain(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 3\r\n\r\n"
        await exchange.send(head % coding.encode("latin-1") + b'"x"')

    async with upstream(plain) as server:
        assert texts(await ask(server.url, ASK_WHOLE)) == ["x"]


async def test_what_unpacks_without_end_is_not_unpacked_at_once() -> None:
    read = 0

    class Packed:
        status = 200
        headers: ClassVar = {"content-encoding": "gzip"}

        async def read(self) -> bytes:
            nonlocal read
            read += 1
            return gzip.compress(bytes(64 * 1024 * 1024)) if read == 1 else b""

        async def aclose(self) -> None: ...

    answer = Decoded(Packed())
    assert 0 < len(await answer.read()) < 8 * 1024 * 1024
    with pytest.raises(UpstreamProtocolError, match="longer than"):
        await read_body(answer, 1024 * 1024)


async def test_a_refusal_keeps_its_status_and_its_time(ask: Asking) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.whole({"error": {"message": "slow down"}}, 429, retry_after="7")

    async with upstream(busy) as server:
        with pytest.raises(UpstreamRefused) as caught:
            await ask(server.url)
    assert caught.value.status == 429
    assert caught.value.headers["Retry-After"] == "7"


@pytest.mark.parametrize("turn", [ASK, ASK_WHOLE], ids=["stream", "whole"])
async def test_a_redirect_is_told_and_not_followed(ask: Asking, turn: Turn) -> None:
    """Before anything is said: another deployment can be asked."""

    async def elsewhere(exchange: Exchange) -> None:
        await exchange.whole(b"", 307, location="https://other/v1?key=secret")

    async with upstream(elsewhere) as server:
        with pytest.raises(UpstreamProtocolError, match="307 and points to 'https://other/v1';"):
            await ask(server.url, turn)
        provider = HTTPProvider(Words(), base_url=server.url)
        with pytest.raises(UpstreamProtocolError):
            await anext(provider.stream(turn))
        await provider.aclose()
    assert len(server.exchanges) == 2


@pytest.mark.parametrize("how", ["silent", "cut", "not gzip", "br"])
async def test_a_refusal_whose_body_does_not_come_keeps_its_status(
    ask: Asking, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("responses_mw.transport._MAX_ERROR_S", 0.1)
    coding = {"not gzip": {"content-encoding": "gzip"}, "br": {"content-encoding": "br"}}

    async def busy(exchange: Exchange) -> None:
        head = {"content-length": "9", "retry-after": "7", **coding.get(how, {})}
        await exchange.head(429, head)
        if how == "silent":
            await exchange.gone.wait()
        else:
            await exchange.send(b"too many!"[: 3 if how == "cut" else 9])
            exchange.writer.close()

    async with upstream(busy) as server:
        with pytest.raises(UpstreamRefused) as caught:
            await ask(server.url)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "7")


async def test_nobody_listening_is_unavailable_after_a_few_tries(ask: Asking) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(UpstreamUnavailable, match="no connection to words"):
            await ask(url)


async def test_a_refused_connection_is_tried_again(ask: Asking) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    asked = asyncio.create_task(ask(f"http://127.0.0.1:{port}"))
    await asyncio.sleep(0.02)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        exchange = Exchange("POST", "/", {}, await reader.readexactly(length), writer)
        await three_words(exchange)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    assert texts(await asked) == ["one", "two", "three"]
    server.close()


async def test_a_connection_that_breaks_before_the_answer_is_not_tried_again(ask: Asking) -> None:
    async def hang_up(exchange: Exchange) -> None:
        exchange.writer.close()

    async with upstream(hang_up) as server:
        with pytest.raises(UpstreamUnavailable):
            await ask(server.url)
    assert len(server.exchanges) == 1


@pytest.mark.parametrize("turn", [ASK, ASK_WHOLE], ids=["stream", "whole"])
async def test_silence_is_a_timeout(ask: Asking, turn: Turn) -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.gone.wait()

    async with upstream(silent) as server:
        with pytest.raises(UpstreamTimeout, match=r"said nothing for 0\.1 s"):
            await ask(server.url, turn, read=0.1)


async def test_silence_in_mid_stream_is_a_timeout(ask: Asking) -> None:
    async def stalls(exchange: Exchange) -> None:
        await exchange.sse()
        await exchange.event("one")
        await exchange.gone.wait()

    async with upstream(stalls) as server:
        with pytest.raises(UpstreamTimeout):
            await ask(server.url, read=0.1)


async def test_an_answer_cut_short_is_noticed(ask: Asking) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.sse()
        await exchange.event("one")
        exchange.writer.close()

    async with upstream(cut) as server:
        with pytest.raises(UpstreamProtocolError, match="cut short"):
            await ask(server.url)


async def test_a_body_shorter_than_announced_is_a_broken_connection(ask: Asking) -> None:
    async def short(exchange: Exchange) -> None:
        await exchange.head(200, {"content-type": "application/json", "content-length": "100"})
        await exchange.send(b'"half')
        exchange.writer.close()

    async with upstream(short) as server:
        with pytest.raises(UpstreamUnavailable, match="broke"):
            await ask(server.url, ASK_WHOLE)


async def test_a_web_page_is_not_taken_for_a_stream(ask: Asking) -> None:
    async def page(exchange: Exchange) -> None:
        await exchange.whole(b"<html>login</html>", content_type="text/html")

    async with upstream(page) as server:
        with pytest.raises(UpstreamProtocolError, match="right address"):
            await ask(server.url)


async def test_leaving_a_stream_closes_its_connection(providers: list[HTTPProvider]) -> None:
    left = asyncio.Event()

    async def endless(exchange: Exchange) -> None:
        await exchange.sse()
        await exchange.event("one")
        await exchange.gone.wait()
        left.set()

    async with upstream(endless) as server:
        provider = HTTPProvider(Words(), base_url=server.url)
        providers.append(provider)
        stream = provider.stream(ASK)
        assert isinstance(await anext(stream), UpstreamInfo)
        assert await anext(stream) == TextDelta("one")
        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(left.wait(), 1.0)
