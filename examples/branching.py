"""Two continuations of one response, at the same time; neither sees the other.

Start `responses-mw serve` first, with any model; the local one needs no key.
python branching.py
"""

import asyncio
import os

from openai import AsyncOpenAI

URL = os.environ.get("RESPONSES_MW_URL", "http://127.0.0.1:4000/v1")
MODEL = os.environ.get("MODEL", "local")
KEY = os.environ.get("RESPONSES_MW_MASTER_KEY", "none")


async def main() -> None:
    async with AsyncOpenAI(base_url=URL, api_key=KEY) as client:
        root = await client.responses.create(
            model=MODEL, input="I am planning a holiday.", max_output_tokens=60
        )

        async def branch(wish: str) -> str:
            answer = await client.responses.create(
                model=MODEL, input=wish, previous_response_id=root.id, max_output_tokens=60
            )
            return answer.output_text

        wishes = ["I want to see the sea.", "I want to climb a mountain."]
        for wish, text in zip(wishes, await asyncio.gather(*map(branch, wishes)), strict=True):
            print(f"--- {wish}\n{text}\n")


asyncio.run(main())
