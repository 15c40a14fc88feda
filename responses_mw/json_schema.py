"""What a check lets pass, in JSON Schema (2020-12), kept on the check itself: they change together.

Only the words stand here; what they say of a parameter stands beside its check.
"""

from collections.abc import Callable
from typing import Any, TypeVar

JsonSchema = dict[str, Any]
C = TypeVar("C", bound=Callable[..., None])

PREFIX = "rmw_"
"""Of every component, so that a host's document can take ours in beside its own."""


def said_as(schema: JsonSchema) -> Callable[[C], C]:
    """Schema and check must refuse the same, but for what JSON Schema has no words for."""

    def say(check: C) -> C:
        vars(check)["json_schema"] = schema
        return check

    return say


def words_of(check: Callable[..., None]) -> JsonSchema:
    """Raises KeyError for a check that says nothing."""
    schema: JsonSchema = vars(check)["json_schema"]
    return schema


def component(name: str) -> JsonSchema:
    return {"$ref": f"#/components/schemas/{PREFIX}{name}"}


def refer(group: str, kind: str) -> JsonSchema:
    """To one type of items, parts or tools."""
    return component(f"{group}_{kind}")


def given(name: str, **schema: Any) -> JsonSchema:
    """The object has it, and not as null."""
    return {"required": [name], "properties": {name: schema or {"not": {"type": "null"}}}}


def nullable(schema: JsonSchema) -> JsonSchema:
    """Null is as good as absent."""
    if not schema:
        return schema
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        return schema
    return {"anyOf": [schema, {"type": "null"}]}
