"""Models, tools and formats that tests of Converse requests share."""

from bedrock_turns import (
    call,
    message,
    output,
)

from responses_mw.turn import Item

OLD_CLAUDE = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
NEW_CLAUDE = "us.anthropic.claude-opus-4-8"
FORCED = {"type": "function", "name": "look"}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "name": "person", "schema": SCHEMA, "description": "Who."}
LOOP: list[Item] = [message("user", "go"), call("a"), output("a")]
POINT = {"cachePoint": {"type": "default"}}
