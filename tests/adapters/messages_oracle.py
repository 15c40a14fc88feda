"""What the official Anthropic client makes of the same bytes: the judge of our decoder.

Nothing of ours is imported here.
"""

from typing import Any

import anthropic
import httpx2

CONTENT_TYPES = {True: "text/event-stream", False: "application/json"}


def official_message(body: bytes, *, streamed: bool) -> dict[str, Any]:
    """The final message, through the client's public interface and its own parsers."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": CONTENT_TYPES[streamed]}
        return httpx2.Response(200, headers=headers, content=body)

    request: dict[str, Any] = {
        "model": "claude-opus-5",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "?"}],
    }
    transport = httpx2.MockTransport(answer)
    with (
        httpx2.Client(transport=transport) as http,
        anthropic.Anthropic(api_key="none", http_client=http, max_retries=0) as client,
    ):
        if not streamed:
            return client.beta.messages.create(**request).to_dict(mode="json")
        with client.beta.messages.stream(**request) as stream:
            return stream.get_final_message().to_dict(mode="json")
