"""vLLM's real server, on demand: `scripts/check --vllm`, with a server that somebody started.

It names its model and its context itself. Chat completions, Messages and Responses are asked.
"""

import json
import os
import urllib.request
from typing import Any

import pytest
from openai import AsyncOpenAI
from real_server import WEATHER, RealServer, RealServerTests, client, streamed

__all__ = ["client"]

URL = os.environ.get("RESPONSES_MW_VLLM", "")

pytestmark = pytest.mark.skipif(not URL, reason="no vLLM server: scripts/check --vllm [URL]")


class VLLMServer(RealServer):
    def entries(self) -> list[dict[str, Any]]:
        named = {"model": f"hosted_vllm/{self.model}", "api_base": f"{self.url}/v1"}
        _, messages = super().entries()
        chat = {"model_name": "chat", "litellm_params": named}
        responses = {
            "model_name": "responses",
            "litellm_params": {**named, "use_responses_api": True},
        }
        return [chat, messages, responses]


@pytest.fixture(scope="module")
def server() -> VLLMServer:
    with urllib.request.urlopen(f"{URL}/v1/models") as answer:
        [model, *_] = json.load(answer)["data"]
    return VLLMServer(URL, model["id"], model["max_model_len"])


@pytest.mark.parametrize("model", ["chat", "messages", "responses"])
class TestVLLM(RealServerTests):
    async def test_a_demanded_call_is_made_answered_and_gone_on_from(
        self, client: AsyncOpenAI, model: str
    ) -> None:
        asked: Any = {"model": model, "tools": [{**WEATHER, "strict": True}]}
        response = await streamed(
            client,
            **asked,
            input="What is the weather in Paris?",
            tool_choice="required",
            parallel_tool_calls=False,
            max_output_tokens=300,
        )
        [call] = [item for item in response.output if item.type == "function_call"]
        assert call.name == "get_weather"
        if model != "messages":  # vLLM's Messages hold no call to its schema
            assert json.loads(call.arguments)["city"] in ("Paris", "Rome")

        output = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
        then = await streamed(client, **asked, input=[output], previous_response_id=response.id)
        assert then.output
        assert then.usage.input_tokens > response.usage.input_tokens
