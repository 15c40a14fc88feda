"""Real models behind one application, chosen by `model`; a chain may change between them.

ANTHROPIC_API_KEY=... OPENAI_API_KEY=... uvicorn real_providers:app
curl localhost:8000/v1/responses \
     -H 'Content-Type: application/json' -d '{"model": "claude", "input": "Hello"}'
"""

import os

from starlette.applications import Starlette
from starlette.routing import Mount

from responses_mw import AnthropicMessages, ChatCompletions, Deployment, HTTPProvider, ResponsesApp

anthropic = HTTPProvider(
    AnthropicMessages(),
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
    headers={"x-api-key": os.environ["ANTHROPIC_API_KEY"]},
)
openai = HTTPProvider(
    ChatCompletions(),  # or another dialect of responses_mw.adapters.chat_dialects
    base_url=os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"),
    headers={"authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
)

responses = ResponsesApp(
    store="sqlite:///conversations.db",
    models={
        "claude": Deployment(anthropic, model="claude-sonnet-4-5"),
        "gpt": Deployment(openai, model="gpt-5-mini"),
    },
)
app = Starlette(routes=[Mount("/v1", responses)], lifespan=responses.lifespan)
