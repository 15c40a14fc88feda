"""One conversation on any store: only the URL differs.

python swap_stores.py memory://
python swap_stores.py sqlite:///conversations.db
python swap_stores.py postgresql://user:password@localhost/database
"""

import asyncio
import sys

from responses_mw import ResponsesApp
from responses_mw.testing import EchoProvider, openai_client


async def converse(url: str) -> str:
    responses = ResponsesApp(store=url, models={"echo": EchoProvider()})
    async with responses.lifespan(), openai_client(responses) as client:
        one = await client.responses.create(model="echo", input="My name is Ada.")
        two = await client.responses.create(
            model="echo", input="What is my name?", previous_response_id=one.id
        )
        return two.output_text


if __name__ == "__main__":
    for url in sys.argv[1:] or ["memory://"]:
        print(asyncio.run(converse(url)))
