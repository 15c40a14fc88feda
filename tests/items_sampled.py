"""An item of every type as a client may send it, and what is refused."""

from typing import Any

import pytest

from responses_mw.errors import InvalidRequest
from responses_mw.schema import CreateRequest

MISSING, VALUE, TYPE = "missing_required_parameter", "invalid_value", "invalid_type"
RESPONSE = "resp_" + "0" * 32
PNG = "data:image/png;base64,iVBORw0KGgo="


def ask(*input: Any) -> CreateRequest:
    return CreateRequest.of({"model": "m", "input": list(input)})


def refusal(*input: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        ask(*input)
    return caught.value


def user(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(content), **fields}


def assistant(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": list(content), **fields}


def text(text: str = "Hi.", **fields: Any) -> dict[str, Any]:
    return {"type": "input_text", "text": text, **fields}


def call(**fields: Any) -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": "call_1",
        "name": "get_weather",
        "arguments": "{}",
        **fields,
    }


def output(**fields: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "call_1", "output": "18", **fields}


SAMPLES: list[dict[str, Any]] = [
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello.", "phase": "commentary"},
    {"role": "system", "content": [text()], "type": "message"},
    user(text(), {"type": "input_image", "image_url": PNG}, id=None, status=None),
    user({"type": "input_image", "file_id": "file_1", "detail": "high"}),
    user({"type": "input_file", "file_data": PNG, "filename": "a.png", "file_url": None}),
    user({"type": "input_file", "file_url": "https://example.com/a.pdf"}),
    assistant(
        {"type": "output_text", "text": "Hello."},
        {"type": "refusal", "refusal": "No."},
        id="msg_1",
        status="incomplete",
        phase=None,
    ),
    assistant(
        {
            "type": "output_text",
            "text": "Hello.",
            "logprobs": None,
            "annotations": [
                {
                    "type": "url_citation",
                    "url": "https://example.com",
                    "title": "Example",
                    "start_index": 0,
                    "end_index": 5,
                }
            ],
        }
    ),
    call(),
    call(id="fc_1", status=None, namespace=None, caller=None),
    output(),
    output(output=[text(), {"type": "input_image", "image_url": "https://example.com/a.png"}]),
    {"type": "reasoning", "summary": []},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "So."}],
        "content": [{"type": "reasoning_text", "text": "Hmm."}],
        "encrypted_content": "sealed",
    },
    {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None},
    {"type": "custom_tool_call", "call_id": "c", "name": "run", "input": "ls"},
    {"type": "custom_tool_call_output", "call_id": "c", "output": "a.txt"},
    {"type": "file_search_call", "queries": ["x"]},
    {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
    {"type": "computer_call", "call_id": "c", "action": {"type": "screenshot"}},
    {
        "type": "computer_call_output",
        "call_id": "c",
        "output": {"type": "computer_screenshot", "image_url": PNG},
    },
    {"type": "image_generation_call", "result": "iVBORw0KGgo="},
    {"type": "image_generation_call", "status": "failed"},
    {"type": "code_interpreter_call", "container_id": "cntr_1", "code": "1 + 1"},
    {
        "type": "local_shell_call",
        "call_id": "c",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
    },
    {"type": "local_shell_call_output", "id": "c", "output": "a.txt"},
    {
        "type": "shell_call",
        "call_id": "c",
        "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
    },
    {
        "type": "shell_call_output",
        "call_id": "c",
        "output": [{"stdout": "", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
    },
    {
        "type": "apply_patch_call",
        "call_id": "c",
        "operation": {"type": "delete_file", "path": "a.txt"},
    },
    {"type": "apply_patch_call_output", "call_id": "c", "status": "failed", "output": "no"},
    {"type": "mcp_list_tools", "server_label": "s", "tools": [{"name": "t", "input_schema": {}}]},
    {"type": "mcp_approval_request", "server_label": "s", "name": "t", "arguments": "{}"},
    {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False},
    {"type": "mcp_call", "server_label": "s", "name": "t", "arguments": "{}", "error": None},
    {"type": "tool_search_call", "arguments": {"query": "x"}},
    {"type": "tool_search_output", "call_id": "c", "tools": []},
    {"type": "additional_tools", "role": "developer", "tools": []},
    {"type": "program", "call_id": "c", "code": "x", "fingerprint": "f"},
    {"type": "program_output", "call_id": "c", "result": "1"},
    {"type": "compaction", "encrypted_content": "sealed"},
]
