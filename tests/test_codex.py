"""What Codex sends: a client that keeps its conversation itself and offers tools of three kinds."""

from typing import Any

import pytest
from test_client_tools import CALLED, FORMATS, SPACE, TOOLS, application, streaming, told
from upstream import upstream

from responses_mw.testing import openai_client

SESSION = "01a20988-6363-7182-8947-64fe57aadcde"
ASKED: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "tools": [*TOOLS, SPACE],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": SESSION,
    "text": {"verbosity": "low"},
    "extra_body": {"client_metadata": {"session_id": SESSION, "x-codex-window-id": f"{SESSION}:0"}},
}
INPUT: list[Any] = [
    {
        "type": "message",
        "id": f"msg_{role}",
        "role": role,
        "content": [{"type": "input_text", "text": text}],
    }
    for role, text in (("developer", "You edit files."), ("user", "Fix it."))
]

ADDED: dict[str, Any] = {
    "tools": [],
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": [*TOOLS, SPACE]},
        *INPUT,
    ],
}
"""As it offers its tools to models that it knows."""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("asked", [{}, ADDED], ids=["tools", "additional_tools"])
async def test_its_patch_is_called_and_answered(name: str, asked: dict[str, Any]) -> None:
    adapter, events = FORMATS[name]
    async with upstream(streaming(events)) as server:
        app = application(adapter, server)
        async with app.lifespan(), openai_client(app) as client:
            said = asked.get("input", INPUT)
            for _ in range(2):
                stream = await client.responses.create(**{**ASKED, **asked, "input": said})
                response = [event async for event in stream][-1].response
                [call] = [item for item in response.output if item.type == "custom_tool_call"]
                assert told(call) == CALLED
                done = {"type": "custom_tool_call_output", "call_id": call.call_id}
                output = [item.to_dict() for item in response.output]
                said = [*said, *output, {**done, "output": "Success."}]
    first, second = (exchange.body.decode() for exchange in server.exchanges)
    assert SESSION not in first.replace(f'"prompt_cache_key":"{SESSION}"', "")
    assert "Success." in second
    assert "files_of__look" in second
