"""What requests may hold, in JSON Schema: made from the tables and models that check them.

No field stands here but those that a model leaves to code (`input`, `tools`, ...), and no rule but
those over several parameters.
"""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from responses_mw import aside_schema, checks, later, parts, schema, tool_schema
from responses_mw import items as item_tables
from responses_mw.checks import Shape, shape_schema
from responses_mw.conversation_schema import (
    MAX_ITEMS,
    ConversationUpdate,
    NewConversation,
    NewItems,
)
from responses_mw.json_schema import JsonSchema, component, given, nullable, refer
from responses_mw.key_schema import ChangedKey, NamedKey, NewKey, Revoked
from responses_mw.schema import CreateRequest

_ANYTHING: JsonSchema = {}
_NOTHING: JsonSchema = {"type": "null"}
_MESSAGE_LIKE: JsonSchema = {"anyOf": [{"required": ["role"]}, {"required": ["content"]}]}
_WITHOUT_TYPE: Mapping[str, JsonSchema] = {
    "message": _ANYTHING,
    "item_reference": {"anyOf": [given("type"), {"not": _MESSAGE_LIKE}]},
}
"""The items that need no type, and what must then hold so that they are not taken for another."""


def request_schemas(*, prompts: bool) -> dict[str, JsonSchema]:
    """Components by name, without its prefix. `prompts`: there are some that a request can name."""
    create = _create(prompts=prompts)
    return {
        **_table("part", parts.SHAPES),
        **_table("item", _linked(item_tables.SHAPES), without_type=_WITHOUT_TYPE),
        **_table("tool", tool_schema.SHAPES),
        "input_item": _any_of("item", item_tables.SHAPES),
        "kept_item": _any_of("item", [k for k in item_tables.SHAPES if k != item_tables.TRIGGER]),
        "input_tool": _any_of("tool", tool_schema.SHAPES),
        "tool_choice": _choice(),
        "text_format": _inline(schema.FORMATS),
        "create": create,
        "count": _count(create),
        "compact": _compact(create),
        "new_conversation": _model(NewConversation, items=_items("kept_item", MAX_ITEMS)),
        "conversation_update": _model(ConversationUpdate),
        "new_items": _model(NewItems, items=_items("kept_item", MAX_ITEMS)),
        "new_key": _model(NewKey),
        "changed_key": _model(ChangedKey),
        "named_key": _model(NamedKey),
        "revoked_keys": _model(Revoked),
    }


# --- tables


def _table(
    group: str, shapes: Mapping[str, Shape], *, without_type: Mapping[str, JsonSchema] = {}
) -> dict[str, JsonSchema]:
    return {
        f"{group}_{kind}": _untyped(kind, shape, without_type[kind])
        if kind in without_type
        else typed(kind, shape)
        for kind, shape in shapes.items()
    }


def _linked(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """With what is asked of items of every type."""
    found = {}
    for kind, shape in shapes.items():
        own = {field.name for field in shape.fields}
        more = [field for field in item_tables.LINKS.fields if field.name not in own]
        found[kind] = Shape([*shape.fields, *more], shape.rule)
    return found


def typed(kind: str, shape: Shape) -> JsonSchema:
    """Objects whose `type` is this."""
    found = shape_schema(shape, type={"type": "string", "enum": [kind]})
    return {**found, "required": ["type", *found.get("required", ())]}


def _untyped(kind: str, shape: Shape, rule: JsonSchema) -> JsonSchema:
    """Objects whose `type` is this, or missing."""
    found = shape_schema(shape, type=nullable({"type": "string", "enum": [kind]}))
    return {**found, "allOf": [*found.get("allOf", ()), rule]} if rule else found


def _any_of(group: str, kinds: Collection[str]) -> JsonSchema:
    return {"anyOf": [refer(group, kind) for kind in kinds]}


def _inline(shapes: Mapping[str, Shape]) -> JsonSchema:
    """Types of which nothing more is said are one."""
    plain = [kind for kind, shape in shapes.items() if shape == Shape()]
    found = [typed(kind, shape) for kind, shape in shapes.items() if kind not in plain]
    if plain:
        found.append(
            {
                "type": "object",
                "properties": {"type": {"type": "string", "enum": plain}},
                "required": ["type"],
            }
        )
    return {"anyOf": found}


def _choice() -> JsonSchema:
    one = _inline(tool_schema.ONE_TOOL)
    allowed = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["allowed_tools"]},
            "mode": nullable({"type": "string", "enum": list(tool_schema.MODES)}),
            "tools": {"type": "array", "minItems": 1, "maxItems": 128, "items": one},
        },
        "required": ["type", "tools"],
    }
    modes = {"type": "string", "enum": list(tool_schema.MODES)}
    return {"anyOf": [modes, allowed, *one["anyOf"]]}


# --- models


def _create(*, prompts: bool) -> JsonSchema:
    found = _model(
        CreateRequest,
        input={"anyOf": [{"type": "string", "maxLength": checks.MAX_TEXT}, _items()]},
        conversation={
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "object", **given("id", type="string", minLength=1)},
            ]
        },
        tools={"type": "array", "items": component("input_tool")},
        tool_choice=component("tool_choice"),
    )
    _within(found, "text")["format"] = nullable(component("text_format"))
    variable = {"anyOf": [{"type": "string"}, *(refer("part", kind) for kind in parts.OTHERS)]}
    variables: JsonSchema = {"type": "object", "additionalProperties": variable}
    _within(found, "prompt")["variables"] = nullable(variables)
    if not prompts:
        found["properties"]["prompt"] = _NOTHING
    _leave_out_later(found)
    must_have = {"anyOf": [{"allOf": [given("model"), given("input")]}, given("prompt")]}
    return {**found, "allOf": [must_have, *_rules_over_parameters()]}


def _within(model: JsonSchema, parameter: str) -> dict[str, JsonSchema]:
    """The properties of a parameter that is a model itself."""
    properties: dict[str, JsonSchema] = model["properties"][parameter]["properties"]
    return properties


def _rules_over_parameters() -> list[JsonSchema]:
    some_tools = given("tools", type="array", minItems=1)
    return [
        {"not": {"allOf": [given("conversation"), given("previous_response_id")]}},
        {"if": given("store", const=False), "then": {"not": given("conversation")}},
        {"if": given("store", const=False), "then": {"not": given("background", const=True)}},
        {"if": given("tool_choice", const="required"), "then": some_tools},
    ]


def _count(create: JsonSchema) -> JsonSchema:
    found = _some_of(create, aside_schema.COUNTED)
    longest = aside_schema.MAX_PERSONALITY
    found["properties"]["personality"] = nullable({"type": "string", "maxLength": longest})
    return {**found, "allOf": _rules_over_parameters()}


def _compact(create: JsonSchema) -> JsonSchema:
    found = _some_of(create, aside_schema.COMPACTED)
    goes_on = {"anyOf": [given("input"), given("previous_response_id")]}
    return {**found, "allOf": [given("model"), goes_on]}


def _some_of(create: JsonSchema, names: Collection[str]) -> JsonSchema:
    properties = {name: of for name, of in create["properties"].items() if name in names}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _items(kind: str = "input_item", most: int | None = None) -> JsonSchema:
    limit = {} if most is None else {"maxItems": most}
    return {"type": "array", "items": component(kind), **limit}


def _model(model: type[BaseModel], **by_code: JsonSchema) -> JsonSchema:
    """`by_code` are the fields that the model itself does not check."""
    made = model.model_json_schema()
    return _of_model(made, made.get("$defs", {}), by_code)


def _of_model(
    made: JsonSchema, models: Mapping[str, JsonSchema], by_code: Mapping[str, JsonSchema]
) -> JsonSchema:
    required = made.get("required", [])
    properties = {}
    for name, found in made["properties"].items():
        field = by_code[name] if name in by_code else _of_field(found, models)
        properties[name] = field if name in required else nullable(field)
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _of_field(found: Any, models: Mapping[str, JsonSchema]) -> Any:
    """Models in their place; without null, titles and defaults."""
    if isinstance(found, list):
        return [_of_field(inner, models) for inner in found]
    if not isinstance(found, dict):
        return found
    if "$ref" in found:
        return _of_model(models[found["$ref"].rpartition("/")[2]], models, {})
    if "anyOf" in found:
        some = [_of_field(inner, models) for inner in found["anyOf"] if inner != _NOTHING]
        return some[0] if len(some) == 1 else {"anyOf": some}
    return {
        name: _of_field(inner, models)
        for name, inner in found.items()
        if name not in ("title", "description") and not (name == "default" and not _worth(inner))
    }


def _worth(default: Any) -> bool:
    """Empty ones stand for "not sent"."""
    return isinstance(default, bool | str) and default != ""


def _leave_out_later(create: JsonSchema) -> None:
    for path, refused in later.PARAMETERS.items():
        *outer, name = path.split(".")
        properties = _within(create, outer[0]) if outer else create["properties"]
        if refused is later.ANY:
            properties[name] = _NOTHING
        else:
            properties[name] = {**properties[name], "not": {"enum": [refused]}}
