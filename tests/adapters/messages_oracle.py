"""What the official Anthropic client makes of the same bytes: the judge of our decoder.

Nothing of ours is imported here.
"""

from typing import Any

import anthropic
import httpx2
from bedrock_oracle import canonical, short

INCOMPLETE = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}
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


def facts(message: dict[str, Any]) -> dict[str, Any]:
    """The short form that is kept in `expected/`. Arguments that were cut off are not in it."""
    content, usage = message["content"], message["usage"]
    reason = INCOMPLETE.get(message["stop_reason"])
    thoughts = [b for b in content if b["type"] in ("thinking", "redacted_thinking")]
    citations = [c for block in content for c in block.get("citations") or ()]
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    details = usage.get("output_tokens_details") or {}
    thinking = details.get("thinking_tokens", 0)
    return {
        "status": "completed" if reason is None else "incomplete",
        "reason": reason,
        "text": short("".join(b["text"] for b in content if b["type"] == "text")),
        "thinking": [short(block.get("thinking", "")) for block in thoughts],
        "calls": [
            [block["id"], block["name"], canonical(block["input"]) if reason is None else ""]
            for block in content
            if block["type"] == "tool_use"
        ],
        "pages": sum("url" in citation for citation in citations),
        "usage": [
            usage["input_tokens"] + read + written, read, written, usage["output_tokens"], thinking,
        ],
    }  # fmt: skip
