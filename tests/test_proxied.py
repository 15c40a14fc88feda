"""Upstreams behind a proxy that the environment names: asked otherwise, and no different."""

import asyncio
import gzip
import traceback
from collections.abc import AsyncIterator

import httpx
import pytest
from both_loops import anyio_backend
from upstream import Exchange, upstream
from wordy import ASK, ASK_WHOLE, Asking, ask, providers, texts, three_words

from responses_mw.addresses import proxy_for
from responses_mw.errors import UpstreamRefused, UpstreamTimeout, UpstreamUnavailable
from responses_mw.proxied import ProxiedAnswer
from responses_mw.turn import Turn

__all__ = ["anyio_backend", "ask", "providers"]

BEHIND = "http://upstream.invalid/v1"


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    return monkeypatch


async def test_a_proxy_of_the_environment_is_asked(
    ask: Asking, through: pytest.MonkeyPatch
) -> None:
    async with upstream(three_words) as server:
        through.setenv("http_proxy", server.url.replace("//", "//me:secret@"))
        assert texts(await ask(BEHIND)) == ["one", "two", "three"]
    (exchange,) = server.exchanges
    assert exchange.path == f"{BEHIND}/say"
    assert exchange.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
    assert exchange.headers["host"] == "upstream.invalid"
    assert exchange.headers["authorization"] == "Bearer sk-x"


async def test_no_proxy_is_asked_for_hosts_that_the_environment_excepts(
    ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with upstream(three_words) as server:
        assert texts(await ask(server.url)) == ["one", "two", "three"]


def test_hosts_are_excepted_by_their_port_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy")
    monkeypatch.setenv("https_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", "a:81,b:443,[::1]:81,[::2],::3")
    urls = ["http://a:81", "http://me:x@a:81/v1", "https://b", "http://[::1]:81"]
    assert {*map(proxy_for, [*urls, "http://[::2]", "http://[::3]:81"])} == {None}
    assert proxy_for("http://a") == proxy_for("http://[::1]") == "http://proxy"
    assert proxy_for("https://c:81/v1") == "http://proxy:3128"


@pytest.mark.parametrize(
    "proxy", ["socks5://me:secret@h:1", "http://me:secret@h:p", "http://me:secret/@h"]
)
async def test_what_is_no_http_proxy_is_not_asked(
    proxy: str, ask: Asking, through: pytest.MonkeyPatch
) -> None:
    through.setenv("http_proxy", proxy)
    with pytest.raises(UpstreamUnavailable, match="the environment names a") as caught:
        await ask(BEHIND)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


async def test_a_compressed_stream_is_read(ask: Asking, through: pytest.MonkeyPatch) -> None:
    async def zipped(exchange: Exchange) -> None:
        await exchange.whole(
            gzip.compress(b'data: "one"\n\ndata: null\n\n'),
            content_type="text/event-stream",
            content_encoding="gzip",
        )
        exchange.writer.close()

    async with upstream(zipped) as server:
        through.setenv("http_proxy", server.url)
        assert texts(await ask(BEHIND)) == ["one"]


async def test_a_refusal_keeps_its_status_and_its_time(
    ask: Asking, through: pytest.MonkeyPatch
) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.whole({"error": {}}, status=429, retry_after="7")

    async with upstream(refuse) as server:
        through.setenv("http_proxy", server.url)
        with pytest.raises(UpstreamRefused) as caught:
            await ask(BEHIND)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize("turn", [ASK, ASK_WHOLE], ids=["stream", "whole"])
async def test_silence_is_a_timeout(ask: Asking, turn: Turn, through: pytest.MonkeyPatch) -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.gone.wait()

    async with upstream(silent) as server:
        through.setenv("http_proxy", server.url)
        with pytest.raises(UpstreamTimeout, match=r"said nothing for 0\.1 s"):
            await ask(BEHIND, turn, read=0.1)


async def test_a_body_that_never_comes_is_silence() -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"one"
            await asyncio.Event().wait()

    answer = ProxiedAnswer(httpx.Response(200, stream=Endless()), silence_s=0.05)
    assert await answer.read() == b"one"
    with pytest.raises(TimeoutError):
        await answer.read()


async def test_a_connection_that_breaks_is_unavailable_and_not_asked_again(
    ask: Asking, through: pytest.MonkeyPatch
) -> None:
    async def hang_up(exchange: Exchange) -> None:
        exchange.writer.close()

    async def short(exchange: Exchange) -> None:
        await exchange.head(200, {"content-type": "application/json", "content-length": "100"})
        await exchange.send(b'"half')
        exchange.writer.close()

    for breaks in (hang_up, short):
        async with upstream(breaks) as server:
            through.setenv("http_proxy", server.url)
            with pytest.raises(UpstreamUnavailable, match="the connection to words broke"):
                await ask(BEHIND, ASK_WHOLE)
        assert len(server.exchanges) == 1


async def test_a_proxy_that_is_not_there_is_no_connection(
    ask: Asking, through: pytest.MonkeyPatch
) -> None:
    through.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(UpstreamUnavailable, match="no connection to words"):
        await asyncio.wait_for(ask(BEHIND), 5)


async def test_a_proxy_that_refuses_is_no_connection_and_its_password_is_not_told(
    ask: Asking, through: pytest.MonkeyPatch
) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.whole(b"", status=407)

    async with upstream(refuse) as server:
        through.setenv("https_proxy", server.url.replace("//", "//me:secret@"))
        with pytest.raises(UpstreamUnavailable, match="proxy answered HTTP 407") as caught:
            await ask(BEHIND.replace("http:", "https:"))
    assert server.exchanges[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
    assert "secret" not in "".join(traceback.format_exception(caught.value))


async def test_a_proxy_that_says_nothing_is_not_waited_for(
    ask: Asking, through: pytest.MonkeyPatch
) -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.gone.wait()

    async with upstream(silent) as server:
        through.setenv("https_proxy", server.url)
        with pytest.raises(UpstreamUnavailable, match="no connection to words"):
            await asyncio.wait_for(ask(BEHIND.replace("http:", "https:"), connect=0.1), 5)
