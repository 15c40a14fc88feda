"""Unit tests of code that uses the API: no server, no key, no model.

pytest test_your_app.py
"""

import pytest
from openai import AsyncOpenAI

from responses_mw import ResponsesApp
from responses_mw.testing import ScriptedProvider
from stores import MemoryStore

pytestmark = pytest.mark.anyio


async def title_of(client: AsyncOpenAI, text: str) -> str:
    """Your code: anything that is given a client."""
    answer = await client.responses.create(model="test", input=f"A title for: {text}")
    return answer.output_text.strip('"')


async def test_a_title_has_no_quotes(responses_client):
    async with responses_client('"The Sea"') as client:
        assert await title_of(client, "Waves and salt.") == "The Sea"


async def test_the_second_turn_knows_the_first(responses_client):
    model = ScriptedProvider("Hello Ada.", "You are Ada.")
    app = ResponsesApp(store=MemoryStore(), models={"test": model})
    async with responses_client(app) as client:
        one = await client.responses.create(model="test", input="I am Ada.")
        await client.responses.create(model="test", input="Who am I?", previous_response_id=one.id)
    told = [item["content"][0]["text"] for item in model.turns[1].items]
    assert told == ["I am Ada.", "Hello Ada.", "Who am I?"]
