"""Bedrock over real sockets: what is signed is what arrives, and a stream is read as it comes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aws_signature import reckoned, said
from bedrock_stream import BEGIN, METADATA, delta, end, frame, stop, stream
from bedrock_turns import turn
from upstream import Answer, Exchange, upstream

from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.aws_auth import AWSIdentity, aws_auth
from responses_mw.deltas import Stopped, TextDelta, UpstreamInfo
from responses_mw.errors import UpstreamProtocolError, UpstreamRefused
from responses_mw.transport import HTTPProvider

KEYS = AWSIdentity(access_key_id="AKIDEXAMPLE", secret_access_key="s3cret")
EVENTS = [BEGIN, delta(0, text="Hel"), delta(0, text="lo"), stop(0), end(), METADATA]
FRAMED = {"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "r-1"}
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0"


async def answers(exchange: Exchange) -> None:
    if not exchange.path.endswith("-stream"):
        message = {"role": "assistant", "content": [{"text": "Hello"}]}
        body = {"output": {"message": message}, "stopReason": "end_turn", **METADATA[1]}
        await exchange.whole(body, x_amzn_requestid="r-1")
        return
    await exchange.head(200, {**FRAMED, "connection": "close"})
    for byte in range(0, len(body := stream(*EVENTS)), 11):
        await exchange.send(body[byte : byte + 11])
    exchange.writer.close()


@pytest.fixture
async def made() -> AsyncIterator[list[HTTPProvider]]:
    providers: list[HTTPProvider] = []
    yield providers
    for provider in providers:
        await provider.aclose()


def provider(made: list[HTTPProvider], url: str, **options: Any) -> HTTPProvider:
    auth = aws_auth(region="us-east-1", **options)
    made.append(HTTPProvider(BedrockConverse(), base_url=url, auth=auth))
    return made[-1]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", PROFILE])
async def test_what_arrives_is_what_was_signed(
    made: list[HTTPProvider], model: str, stream: bool
) -> None:
    async with upstream(answers) as server:
        asked = turn(model=model, stream=stream, metadata={"team": "a"})
        deltas = [d async for d in provider(made, server.url, identity=KEYS).stream(asked)]

    (exchange,) = server.exchanges
    # A colon may be sent as such, the slashes of an ARN may not. Both are signed as they are sent.
    assert exchange.path.replace(":", "%3A") == BedrockConverse().encode(asked).path
    expected = reckoned(
        server.url + exchange.path,
        exchange.headers,
        exchange.headers,
        exchange.body,
        "s3cret",
    )
    assert said(exchange.headers["authorization"])["Signature"] == expected
    assert deltas[0] == UpstreamInfo(upstream_id="r-1")
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == "Hello"
    assert deltas[-1] == Stopped()


async def test_a_bearer_token_is_enough(made: list[HTTPProvider]) -> None:
    async with upstream(answers) as server:
        assert [d async for d in provider(made, server.url, api_key="ABSK1").stream(turn())]
    assert server.exchanges[0].headers["authorization"] == "Bearer ABSK1"


async def asked(made: list[HTTPProvider], answer: Answer) -> list[Any]:
    async with upstream(answer) as server:
        streaming = provider(made, server.url, identity=KEYS).stream(turn(stream=True))
        return [delta async for delta in streaming]


async def test_an_http_error_is_translated(made: list[HTTPProvider]) -> None:
    async def refuses(exchange: Exchange) -> None:
        type = "ThrottlingException:http://internal.amazon.com/"
        await exchange.whole({"message": "Too many requests"}, 429, x_amzn_errortype=type)

    with pytest.raises(UpstreamRefused, match="Too many requests") as caught:
        await asked(made, refuses)
    assert caught.value.status == 429


async def test_an_exception_inside_a_stream_is_translated(made: list[HTTPProvider]) -> None:
    async def breaks(exchange: Exchange) -> None:
        await exchange.head(200, {**FRAMED, "connection": "close"})
        await exchange.send(stream(*EVENTS[:2], ("modelStreamErrorException", {"message": "no"})))
        exchange.writer.close()

    with pytest.raises(UpstreamRefused) as caught:
        await asked(made, breaks)
    assert caught.value.status == 502


async def test_a_damaged_stream_is_noticed(made: list[HTTPProvider]) -> None:
    async def damages(exchange: Exchange) -> None:
        await exchange.head(200, {**FRAMED, "connection": "close"})
        await exchange.send(frame(*BEGIN)[:-1] + b"\x00")
        exchange.writer.close()

    with pytest.raises(UpstreamProtocolError, match="checksum"):
        await asked(made, damages)


async def test_invocations_are_signed_with_their_options(made: list[HTTPProvider]) -> None:
    async def refuses(exchange: Exchange) -> None:
        await exchange.whole({"message": "seen"}, 400)

    async with upstream(refuses) as server:
        auth = aws_auth(region="us-east-1", identity=KEYS)
        made.append(HTTPProvider(BedrockInvoke(), base_url=server.url, auth=auth))
        with pytest.raises(UpstreamRefused, match="seen"):
            assert [d async for d in made[-1].stream(turn(service_tier="priority"))]
    headers = server.exchanges[0].headers
    assert headers["x-amzn-bedrock-service-tier"] == "priority"
    assert "x-amzn-bedrock-service-tier" in said(headers["authorization"])["SignedHeaders"]
