"""What upstreams are told of who asks, and what they cannot pass on to anybody else."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from both_loops import anyio_backend
from upstream import Exchange, upstream
from wordy import ASK, ASK_WHOLE, Asking, Words, ask, providers, three_words

from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import OPENAI
from responses_mw.errors import UpstreamRefused, UpstreamUnavailable
from responses_mw.transport import HTTPProvider

__all__ = ["anyio_backend", "ask", "providers"]


async def test_cookies_of_one_answer_do_not_go_out_with_the_next_request(
    providers: list[HTTPProvider],
) -> None:
    async def cookie(exchange: Exchange) -> None:
        await exchange.whole("x", set_cookie="session=secret; Path=/")

    async with upstream(cookie) as server:
        provider = HTTPProvider(Words(), base_url=server.url)
        providers.append(provider)
        for _ in range(2):
            assert [delta async for delta in provider.stream(ASK_WHOLE)]
    assert all("cookie" not in exchange.headers for exchange in server.exchanges)


async def test_credentials_are_in_no_message_and_no_repr(ask: Asking) -> None:
    provider = HTTPProvider(
        Words(), base_url="http://127.0.0.1:1", headers={"x-api-key": "sk-canary"}
    )
    assert "sk-canary" not in repr(provider)
    with pytest.raises(UpstreamUnavailable) as caught:
        await ask("http://127.0.0.1:1")
    assert "sk-x" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 200], ids=["refused", "in the stream"])
async def test_credentials_of_a_turn_that_are_repeated_are_not_told(
    providers: list[HTTPProvider], status: int
) -> None:
    async def repeat(exchange: Exchange) -> None:
        key = exchange.headers["authorization"].removeprefix("Bearer ")
        error = orjson.dumps({"error": {"message": f"{key} is wrong"}})
        if status == 400:
            await exchange.whole(error, status=400)
        else:
            await exchange.whole(b"data: %b\n\n" % error, content_type="text/event-stream")

    async with upstream(repeat) as server:
        provider = HTTPProvider(
            ChatCompletions(OPENAI), base_url=server.url, headers={"authorization": "Bearer ours"}
        )
        providers.append(provider)
        turn = replace(ASK, extra_headers={"Authorization": "Bearer of-the-turn"})
        with pytest.raises(UpstreamRefused, match=r"\[redacted\] is wrong"):
            assert [delta async for delta in provider.stream(turn)]


@pytest.mark.parametrize("status", [400, 200], ids=["refused", "in the stream"])
async def test_credentials_that_changed_meanwhile_are_not_told(
    providers: list[HTTPProvider], status: int
) -> None:
    """Each upstream repeats what its own request had, once the other request is there, too."""
    made = iter(["of-the-first", "of-the-second"])
    both = asyncio.Event()

    async def rotating(*request: object) -> Mapping[str, str]:
        return {"authorization": f"Bearer {next(made)}"}

    async def repeat(exchange: Exchange) -> None:
        if len(server.exchanges) == 2:
            both.set()
        await both.wait()
        key = exchange.headers["authorization"].removeprefix("Bearer ")
        error = orjson.dumps({"error": {"message": f"{key} is wrong"}})
        if status == 400:
            await exchange.whole(error, status=400)
        else:
            await exchange.whole(b"data: %b\n\n" % error, content_type="text/event-stream")

    async with upstream(repeat) as server:
        provider = HTTPProvider(ChatCompletions(OPENAI), base_url=server.url, auth=rotating)
        providers.append(provider)

        async def refusal() -> str:
            with pytest.raises(UpstreamRefused) as caught:
                assert [delta async for delta in provider.stream(ASK)]
            return caught.value.message

        async with asyncio.TaskGroup() as group:
            told = [group.create_task(refusal()) for _ in range(2)]
    assert [task.result() for task in told] == ["[redacted] is wrong"] * 2


async def test_credentials_that_change_are_asked_for_with_what_will_be_sent(
    providers: list[HTTPProvider],
) -> None:
    asked: list[tuple[str, str, Mapping[str, str], bytes]] = []

    async def sign(
        method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        asked.append((method, url, headers, body))
        return {"authorization": f"Signed {len(asked)}"}

    async with upstream(three_words) as server:
        provider = HTTPProvider(
            Words(), base_url=server.url, headers={"Authorization": "none yet"}, auth=sign
        )
        providers.append(provider)
        for _ in range(2):
            assert len([delta async for delta in provider.stream(ASK)]) == 5
    first, second = server.exchanges
    assert first.headers["authorization"] == "Signed 1"
    assert second.headers["authorization"] == "Signed 2"
    method, url, headers, body = asked[0]
    assert (method, url, body) == ("POST", f"{server.url}/say", first.body)
    assert headers["host"] == first.headers["host"]
    assert headers["x-extra"] == "1"


async def test_an_upstream_without_credentials_is_not_asked(
    providers: list[HTTPProvider],
) -> None:
    async def refuse(*request: object) -> Mapping[str, str]:
        raise UpstreamUnavailable("no token to be had", provider="words")

    async with upstream(three_words) as server:
        provider = HTTPProvider(Words(), base_url=server.url, auth=refuse)
        providers.append(provider)
        with pytest.raises(UpstreamUnavailable, match="no token"):
            await anext(provider.stream(ASK))
    assert server.exchanges == []


async def test_a_password_in_netrc_is_not_sent(
    providers: list[HTTPProvider], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with upstream(three_words) as server:
        provider = HTTPProvider(Words(), base_url=server.url)
        providers.append(provider)
        assert [delta async for delta in provider.stream(ASK)]
    assert "authorization" not in server.exchanges[0].headers


async def test_what_is_signed_is_the_address_that_is_asked(
    providers: list[HTTPProvider],
) -> None:
    signed: list[str] = []

    async def sign(
        method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Mapping[str, str]:
        signed.append(url)
        return {}

    async with upstream(three_words) as server:
        provider = HTTPProvider(Words(), base_url=f"{server.url}/a%3Ab%2Fc d", auth=sign)
        providers.append(provider)
        assert [delta async for delta in provider.stream(ASK)]
    assert signed == [server.url + server.exchanges[0].path]
