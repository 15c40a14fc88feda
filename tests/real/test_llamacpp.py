"""llama.cpp's real server, asked through chat completions and through Anthropic's Messages."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from llamacpp_server import CONTEXT
from openai import AsyncOpenAI
from real_server import RealServer, RealServerTests, client

from responses_mw import weights

__all__ = ["client"]

pytestmark = pytest.mark.skipif(
    not weights.is_cached(),
    reason="the local model's weights are not here: responses-mw fetch-model",
)


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    command = [sys.executable, str(Path(__file__).with_name("llamacpp_server.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "llama.cpp did not start"
        yield RealServer(url, "smollm2", CONTEXT)
        process.stdin.close()


@pytest.mark.parametrize("model", ["chat", "messages"])
class TestLlamaCpp(RealServerTests):
    pass


async def test_tokens_are_counted_by_the_server_itself(client: AsyncOpenAI) -> None:
    said = "How many tokens is this?"
    counted = await client.responses.input_tokens.count(model="messages", input=said)
    answered = await client.responses.create(model="messages", input=said, max_output_tokens=16)
    assert answered.usage is not None
    assert counted.input_tokens == answered.usage.input_tokens
