"""The smallest wire format, and asking upstreams that speak it."""

from collections.abc import AsyncIterator, Iterator, Mapping

import orjson
import pytest
from upstream import Exchange

from responses_mw.adapters.base import Framing, UpstreamRequest
from responses_mw.adapters.upstream_errors import upstream_error
from responses_mw.deltas import Delta, Stopped, TextDelta
from responses_mw.errors import UpstreamError, UpstreamProtocolError
from responses_mw.sse import ServerSentEvent
from responses_mw.transport import HTTPProvider, Timeouts
from responses_mw.turn import Span, Turn

ASK = Turn(model="m", spans=[Span([])], stream=True)
ASK_WHOLE = Turn(model="m", spans=[Span([])])


class Words:
    """The smallest wire format: each event is a JSON string, null ends the answer."""

    name = "words"

    def __init__(self, framing: Framing = "sse") -> None:
        self.framing: Framing = framing

    def scope(self, turn: Turn) -> str:
        return "words"

    def encode(self, turn: Turn) -> UpstreamRequest:
        return UpstreamRequest("/say", {"stream": turn.stream}, {"x-extra": "1"}, ("top_p",))

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        yield TextDelta(orjson.loads(body))
        yield Stopped()

    def decoder(self, turn: Turn) -> "WordsDecoder":
        return WordsDecoder()

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return upstream_error(status, headers, body, provider="words")


class WordsDecoder:
    def __init__(self) -> None:
        self._stopped = False

    def feed(self, event: ServerSentEvent) -> Iterator[Delta]:
        word = orjson.loads(event.data)
        self._stopped = word is None
        yield Stopped() if word is None else TextDelta(word)

    def close(self) -> Iterator[Delta]:
        if not self._stopped:
            raise UpstreamProtocolError("the answer was cut short")
        return iter(())


@pytest.fixture
async def providers() -> AsyncIterator[list[HTTPProvider]]:
    made: list[HTTPProvider] = []
    yield made
    for provider in made:
        await provider.aclose()


class Asking:
    """Makes providers and closes them."""

    def __init__(self, made: list[HTTPProvider]) -> None:
        self._made = made

    async def __call__(
        self,
        url: str,
        turn: Turn = ASK,
        *,
        framing: Framing = "sse",
        connect: float = 1.0,
        read: float = 5.0,
    ) -> list[Delta]:
        timeouts = Timeouts(connect=connect, read=read)
        provider = HTTPProvider(
            Words(framing),
            base_url=url,
            headers={"authorization": "Bearer sk-x"},
            timeouts=timeouts,
        )
        self._made.append(provider)
        return [delta async for delta in provider.stream(turn)]


@pytest.fixture
def ask(providers: list[HTTPProvider]) -> Asking:
    return Asking(providers)


def texts(deltas: list[Delta]) -> list[str]:
    return [delta.text for delta in deltas if isinstance(delta, TextDelta)]


async def three_words(exchange: Exchange) -> None:
    await exchange.sse()
    for word in ("one", "two", "three", None):
        await exchange.event(word)
    exchange.writer.close()
