"""vLLM's real server, on demand: `scripts/check --vllm`, with a server that somebody started.

It names its model and its context itself. Chat completions, Messages and Responses are asked.
"""

import json
import os
import urllib.request

import pytest
from openai import AsyncOpenAI
from real_server import WEATHER, RealServer, RealServerTests, client, streamed

__all__ = ["client"]

URL = os.environ.get("RESPONSES_MW_VLLM", "")

pytestmark = pytest.mark.skipif(not URL, reason="no vLLM server: scripts/check --vllm [URL]")


class VLLMServer(RealServer):
    def entries(self) -> list[dict[str, object]]:
        responses = {
            "model": f"hosted_vllm/{self.model}",
            "api_base": f"{self.url}/v1",
            "use_responses_api": True,
        }
        entry = {"model_name": "responses", "litellm_params": responses}
        return [*super().entries(), entry]


@pytest.fixture(scope="module")
def server() -> VLLMServer:
    with urllib.request.urlopen(f"{URL}/v1/models") as answer:
        [model, *_] = json.load(answer)["data"]
    return VLLMServer(URL, model["id"], model["max_model_len"])


class TestVLLM(RealServerTests):
    pass


async def test_three_turns_follow_each_other_by_responses(client: AsyncOpenAI) -> None:
    last = None
    for said in ("The capital of France is Paris.", "Which city is it?", "Say it again."):
        last = await streamed(
            client, model="responses", input=said, previous_response_id=last and last.id
        )
        assert last.output_text


@pytest.mark.parametrize("model", ["chat", "messages"])
async def test_a_demanded_call_is_made(client: AsyncOpenAI, model: str) -> None:
    response = await streamed(
        client,
        model=model,
        input="What is the weather in Paris?",
        tools=[WEATHER],
        tool_choice="required",
        max_output_tokens=300,
    )
    [call] = [item for item in response.output if item.type == "function_call"]
    assert json.loads(call.arguments)["city"] in ("Paris", "Rome")
