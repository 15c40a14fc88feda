"""Tools that Anthropic runs are offered by its own names, and no more is allowed than was."""

from typing import Any

import pytest
from messages_turns import PLAIN, encoded, function, message, turn
from test_anthropic_types import BETA_TYPES, described

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.errors import UnsupportedByProvider

MCP = {
    "type": "mcp",
    "server_label": "wiki",
    "server_url": "https://mcp.example.org",
    "require_approval": "never",
}
LOCATION = {"type": "approximate", "city": "Paris", "country": "FR", "region": None}


def offered(*tools: dict[str, Any], **options: Any) -> Any:
    return encoded(message("user", "Hi"), tools=tools, **options)


@pytest.mark.parametrize(
    ("tool", "sent", "beta"),
    [
        ({"type": "web_search"}, {"type": "web_search_20250305", "name": "web_search"}, None),
        (
            {
                "type": "web_search_preview",
                "filters": {"allowed_domains": ["x.org"]},
                "user_location": LOCATION,
                "search_context_size": "medium",
            },
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "allowed_domains": ["x.org"],
                "user_location": {"type": "approximate", "city": "Paris", "country": "FR"},
            },
            None,
        ),
        (
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "code_execution_20250825", "name": "code_execution"},
            "code-execution-2025-08-25",
        ),
        (
            {**MCP, "allowed_tools": ["ask"]},
            {
                "type": "mcp_toolset",
                "mcp_server_name": "wiki",
                "default_config": {"enabled": False},
                "configs": {"ask": {"enabled": True}},
            },
            "mcp-client-2025-11-20",
        ),
    ],
)
def test_a_tool_is_offered_by_its_name_at_anthropic(
    tool: dict[str, Any], sent: dict[str, Any], beta: str | None
) -> None:
    request = offered(function(), tool)
    assert request.body["tools"][1] == sent
    assert request.headers.get("anthropic-beta") == beta
    assert request.dropped == ()
    assert described(BETA_TYPES, request.body) == request.body


@pytest.mark.parametrize(
    "credentials", [{"authorization": "t0ken"}, {"headers": {"Authorization": "Bearer t0ken"}}]
)
def test_a_server_of_tools_is_named_with_its_token(credentials: dict[str, Any]) -> None:
    request = offered({**MCP, **credentials})
    assert request.body["mcp_servers"] == [
        {
            "type": "url",
            "name": "wiki",
            "url": "https://mcp.example.org",
            "authorization_token": "t0ken",
        }
    ]
    assert described(BETA_TYPES, request.body) == request.body
    counted = PLAIN.count(turn(message("user", "Hi"), tools=[MCP]))
    assert "mcp_servers" in counted.body


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({**MCP, "require_approval": "always"}, "tools[0].require_approval"),
        ({"type": "mcp", "server_label": "w", "server_url": "u"}, "tools[0].require_approval"),
        ({"type": "mcp", "server_label": "w", "connector_id": "c"}, "tools[0]"),
        ({**MCP, "headers": {"x-team": "blue"}}, "tools[0].headers"),
        ({**MCP, "allowed_tools": {"read_only": True}}, "tools[0].allowed_tools"),
        ({"type": "file_search", "vector_store_ids": ["v"]}, "tools[0]"),
    ],
)
def test_what_would_allow_more_than_was_asked_is_refused(tool: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedByProvider) as refused:
        offered(tool)
    assert refused.value.param == param


def test_options_without_a_word_for_them_are_named() -> None:
    request = offered(
        {"type": "web_search", "search_context_size": "high"},
        {"type": "code_interpreter", "container": "cntr_1"},
    )
    assert request.dropped == ("tools[0].search_context_size", "tools[1].container")


def test_one_of_them_can_be_demanded() -> None:
    request = offered({"type": "web_search"}, tool_choice={"type": "web_search"})
    assert request.body["tool_choice"] == {"type": "tool", "name": "web_search"}


def test_a_platform_offers_what_it_runs() -> None:
    tools = [{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}]
    vertex = AnthropicMessages(server_tools=frozenset({"web_search"}))
    vertex.encode(turn(tools=tools[:1]))
    for tool in (tools[1], MCP):
        with pytest.raises(UnsupportedByProvider):
            vertex.encode(turn(tools=[tool]))
    with pytest.raises(UnsupportedByProvider):
        BedrockInvoke().encode(turn(tools=tools[:1]))


def test_a_server_that_only_speaks_the_format_runs_none() -> None:
    with pytest.raises(UnsupportedByProvider, match="web_search"):
        offered({"type": "web_search"}, model="smollm2")
