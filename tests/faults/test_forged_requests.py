"""Nobody makes this server ask another one: addresses in a request are passed on or refused, never
fetched, and what a client chooses stays in its place in what an upstream is asked.
"""

import contextlib
import mimetypes
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from breakage import well
from live import live
from speeches import SPEECHES
from tally import Tried
from upstream import Exchange, Upstream, upstream

from responses_mw import ResponsesApp, Settings
from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.vertex import VertexClaude
from responses_mw.router import Deployment
from responses_mw.transport import HTTPProvider

WATCHED = ("socket.connect", "socket.getaddrinfo", "urllib.Request", "open", "subprocess.Popen")


class Watch:
    """What this process connects to, looks up, opens and starts while it is on."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is not None and event in WATCHED:
            self.seen.append(f"{event} {arguments}")

    @contextlib.contextmanager
    def on(self) -> Iterator[list[str]]:
        self.seen = seen = []
        try:
            yield seen
        finally:
            self.seen = None


WATCH = Watch()
sys.addaudithook(WATCH)  # for good: a hook cannot be taken back


@pytest.fixture
async def trap() -> AsyncIterator[Upstream]:
    """Whoever is sent here was forged."""

    async def sprung(exchange: Exchange) -> None:
        await exchange.whole(b"secret")

    async with upstream(sprung) as it:
        yield it


@contextlib.asynccontextmanager
async def asking(**models: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = ResponsesApp(store="memory://", models=models, settings=Settings(drain_s=1))
    async with (
        live(app) as address,
        httpx.AsyncClient(base_url=f"http://{address}", timeout=20, trust_env=False) as http,
    ):
        yield http


def user(part: dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": [{"type": "input_text", "text": "See."}, part]}]


def tool(part: dict[str, Any]) -> list[Any]:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    return [call, {"type": "function_call_output", "call_id": "c", "output": [part]}]


def screen(url: str) -> list[Any]:
    call = {"type": "computer_call", "call_id": "c", "action": {"type": "screenshot"}}
    shot = {"type": "computer_screenshot", "image_url": url}
    return [call, {"type": "computer_call_output", "call_id": "c", "output": shot}]


def everywhere(url: str) -> Iterator[dict[str, Any]]:
    """Bodies with the address in each place that takes one."""
    image = {"type": "input_image", "image_url": url}
    file = {"type": "input_file", "file_url": url, "filename": "a.pdf"}
    data = {"type": "input_file", "file_data": url, "filename": "a.pdf"}
    video = {"type": "input_video", "video_url": url}
    for part in (image, file, data):
        yield {"input": user(part)}
        yield {"input": tool(part)}
    yield {"input": tool(video)}
    yield {"input": screen(url)}
    mcp = {"type": "mcp", "server_label": "s", "server_url": url, "require_approval": "never"}
    yield {"input": "hi", "tools": [mcp]}


@pytest.mark.parametrize("format", SPEECHES)
async def test_no_address_is_fetched(
    format: str, trap: Upstream, tmp_path: Path, tried: Tried
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG secret")
    here = urlsplit(trap.url)
    urls = [
        f"{trap.url}/a.png",
        f"http://localhost:{here.port}/a.pdf",
        f"HTTP://user:password@127.0.0.1:{here.port}/a.mp4?x=1#y",
        f"https://127.0.0.1:{here.port}/a.png",
        "http://no-such-host.invalid/a.png",
        f"file://{secret}",
        str(secret),
        f"ftp://127.0.0.1:{here.port}/a.png",
        f"gopher://127.0.0.1:{here.port}/",
        f"//127.0.0.1:{here.port}/a.png",
        f"data:text/html,<img src={trap.url}>",
    ]
    speech = SPEECHES[format]
    mimetypes.init()  # it reads a file when it is first asked
    async with (
        upstream(lambda exchange: well(exchange, speech)) as there,
        asking(m=HTTPProvider(speech.adapter(), base_url=there.url)) as http,
    ):
        await http.post("/responses", json={"model": "m", "input": "hi"})
        allowed = (str(urlsplit(there.url).port), str(http.base_url.port))
        with WATCH.on() as seen:
            passed_on = [await passed(http, there, url) for url in urls]
    assert trap.exchanges == []
    assert not [event for event in seen if not any(port in event for port in allowed)]
    assert any(passed_on)
    tried("forged requests", sum(len(list(everywhere(url))) for url in urls))


async def passed(http: httpx.AsyncClient, there: Upstream, url: str) -> bool:
    """Whether the upstream was told the address; where it was not asked, the client is told why."""
    told = False
    for body in everywhere(url):
        before = len(there.exchanges)
        answer = await http.post("/responses", json={"model": "m", **body})
        if answer.status_code == 200:
            (asked,) = there.exchanges[before:]
            told = told or quote(url, safe=":/?=#@<> ,").encode() in asked.body
        else:
            error = answer.json()["error"]
            assert answer.status_code == 400, error
            assert error["param"].startswith(("input", "tools")), error
            assert len(there.exchanges) == before
    return told


@pytest.mark.parametrize("url", ["file:///etc/passwd", "/etc/passwd", "ftp://127.0.0.1/a", "x:y"])
async def test_what_is_no_web_address_is_refused_by_its_name(url: str) -> None:
    async with upstream(lambda exchange: well(exchange, SPEECHES["chat"])) as there:
        provider = HTTPProvider(SPEECHES["chat"].adapter(), base_url=there.url)
        async with asking(m=provider) as http:
            for field, part in (
                ("image_url", {"type": "input_image", "image_url": url}),
                ("file_url", {"type": "input_file", "file_url": url}),
            ):
                body = {"model": "m", "input": user(part)}
                answer = await http.post("/responses", json=body)
                assert answer.status_code == 400
                assert answer.json()["error"]["param"] == f"input[0].content[1].{field}"
        assert there.exchanges == []


async def test_a_redirect_is_not_followed(trap: Upstream) -> None:
    async def moved(exchange: Exchange) -> None:
        status = 301 + len(there.exchanges) % 3
        await exchange.head(status, {"location": f"{trap.url}/", "content-length": "0"})

    async with upstream(moved) as there:
        provider = HTTPProvider(SPEECHES["chat"].adapter(), base_url=there.url)
        async with asking(m=provider) as http:
            for stream in (True, False, True, False):
                body = {"model": "m", "input": "hi", "stream": stream}
                assert (await http.post("/responses", json=body)).status_code == 502
    assert trap.exchanges == []


ADAPTERS = {
    **{name: speech.adapter for name, speech in SPEECHES.items()},
    "bedrock invoke": BedrockInvoke,
    "vertex claude": lambda: VertexClaude(messages=AnthropicMessages()),
}
NAMES = [
    "a?key=b", "a#b", "a%2e%2e%2fb", "%2e%2e/%2e%2e/b", "a b", "..\\..\\b", "a;b", "a:b",
    "@127.0.0.1/", "//127.0.0.1/x", "/", "http://127.0.0.1/", "\u2025/b", "\uff0e\uff0e/b",
    "\u202eb", "a&alt=x", "...", "a%0d%0ax: y", "'", "\u00e9",
]  # fmt: skip
LEADING_AWAY = ["..", "../../admin", "a/../../b", "a/..", "./a", "a/.", "a\r\nx: y", "a\nb", "\x00"]


@pytest.mark.parametrize("format", ADAPTERS)
async def test_a_models_name_stays_in_its_place(format: str, tried: Tried) -> None:
    """Behind a wildcard clients choose it, and some upstreams have it in their addresses."""

    async def told(exchange: Exchange) -> None:
        await exchange.whole({"error": {"message": "never heard of it"}}, 404)

    async with upstream(told) as there:
        provider = HTTPProvider(ADAPTERS[format](), base_url=f"{there.url}/v1/place")
        async with asking(**{"any/*": Deployment(provider, model="*")}) as http:
            for name in ["known", *LEADING_AWAY, *NAMES]:
                for stream in (True, False):
                    body = {"model": f"any/{name}", "input": "hi", "stream": stream}
                    answer = await http.post("/responses", json=body)
                    assert answer.status_code == (400 if name in LEADING_AWAY else 404), name
                    assert "x" not in answer.headers
    for exchange in there.exchanges:
        path, _, query = exchange.path.partition("?")
        assert path.startswith("/v1/place/"), exchange.path
        assert query in ("", "alt=sse"), exchange.path
        assert not {".", ".."} & set(path.split("/")), exchange.path
        assert "x" not in exchange.headers
        assert exchange.headers["host"] in there.url
    assert len(there.exchanges) == 2 + 2 * len(NAMES)
    tried("forged requests", 2 * len([*NAMES, *LEADING_AWAY]))


async def test_an_address_that_is_passed_on_is_unchanged() -> None:
    url = "http://127.0.0.1:1/a.png?x=%2e%2e&y=a b"
    async with upstream(lambda exchange: well(exchange, SPEECHES["responses"])) as there:
        provider = HTTPProvider(SPEECHES["responses"].adapter(), base_url=there.url)
        async with asking(m=provider) as http:
            body = {"model": "m", "input": user({"type": "input_image", "image_url": url})}
            assert (await http.post("/responses", json=body)).status_code == 200
        assert there.exchanges[0].json["input"][0]["content"][1]["image_url"] == url
