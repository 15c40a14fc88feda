"""What tests of the calls without a server share: a store of their own, and a local Claude."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from upstream import Answer, Exchange

from responses_mw import calls

CLAUDE = "anthropic/claude-sonnet-4-5"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The default store is this test's own, and nothing is left of the calls after it."""
    url = f"sqlite:///{tmp_path}/calls.db"
    monkeypatch.setenv("RESPONSES_MW_STORE", url)
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield url
    calls.default.close()


def says(text: str, *, streamed: Answer | None = None) -> Answer:
    """Answers with a text; streams as `streamed` does, if that is given."""

    async def answer(exchange: Exchange) -> None:
        if exchange.json.get("stream") and streamed is not None:
            await streamed(exchange)
            return
        if exchange.json.get("stream"):
            await stream(exchange, text)
            await exchange.event({"type": "message_stop"})
            exchange.writer.close()
            return
        await exchange.whole(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-5",
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 1, "output_tokens": 4},
            }
        )

    return answer


async def stream(exchange: Exchange, text: str) -> None:
    await exchange.sse()
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}
    await exchange.event({"type": "message_start", "message": {**message, "model": "claude"}})
    block = {"type": "text", "text": ""}
    await exchange.event({"type": "content_block_start", "index": 0, "content_block": block})
    delta = {"type": "text_delta", "text": text}
    await exchange.event({"type": "content_block_delta", "index": 0, "delta": delta})
    await exchange.event({"type": "content_block_stop", "index": 0})
    ended = {"stop_reason": "end_turn"}
    await exchange.event({"type": "message_delta", "delta": ended, "usage": usage})


async def begins_and_waits(exchange: Exchange) -> None:
    await stream(exchange, "Once")
    await exchange.gone.wait()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = 5.0
    while not true():
        threading.Event().wait(0.02)
        deadline -= 0.02
        assert deadline > 0
