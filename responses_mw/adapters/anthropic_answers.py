"""How a demanded answer format reaches Claude: natively, as a forced tool, or in words.

Encoder and decoder both ask `answer_format`, so that what one sets up the other undoes. Knowledge
of JSON Schema stops at the border of this file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from responses_mw.adapters.anthropic_models import ModelRules
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Turn

Schema = dict[str, Any]

JSON_ONLY = "Answer with one JSON object and nothing else: no other text and no code fence."

_KEPT = {"$ref", "const", "default", "description", "enum", "required", "title", "type"}
_SUBSCHEMAS = {"allOf": "allOf", "anyOf": "anyOf", "oneOf": "anyOf", "items": "items"}
"""Keywords that hold schemas, and what they become: of alternatives, only `anyOf` is known."""
_SUBSCHEMA_MAPS = {"$defs", "definitions", "properties"}
_FORMATS = {
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid",
}  # fmt: skip
"""Keywords and formats: what the official SDK leaves in a schema that it sends."""


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """At most one of `schema` (for output_config), `tool` (to be forced) and `instruction` is set.

    `left_out` names what this says less strictly than the client did.
    """

    schema: Schema | None = None
    tool: Mapping[str, Any] | None = None
    instruction: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def tool_name(self) -> str | None:
        return None if self.tool is None else str(self.tool["name"])


def answer_format(turn: Turn, rules: ModelRules) -> AnswerFormat:
    wanted = turn.text_format
    if wanted is None or wanted["type"] == "text":
        return AnswerFormat()
    if wanted["type"] == "json_object":
        return AnswerFormat(instruction=JSON_ONLY)
    if rules.schemas and is_expressible(wanted["schema"]):
        schema, moved = constrained(wanted["schema"])
        return AnswerFormat(schema, left_out=tuple(f"text.format.schema.{key}" for key in moved))
    if turn.choice == "required" or not rules.forced_tools:
        # A call is already demanded, or cannot be: there is no room for a second one.
        return AnswerFormat(left_out=("text.format",))
    return AnswerFormat(tool=_answer_tool(turn, wanted))


def _answer_tool(turn: Turn, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    if wanted["schema"].get("type", "object") != "object":
        raise UnsupportedByProvider(
            f"the schema of an answer must be of type 'object' for {turn.model!r}, "
            f"not {wanted['schema']['type']!r}; wrap the value in a property",
            param="text.format.schema",
        )
    taken = {tool.get("name") for tool in turn.offered_tools}
    name = str(wanted["name"])
    while name in taken:
        name += "_answer"
    description = "Give the final answer by calling this."
    if wanted.get("description"):
        description += f" {wanted['description']}"
    schema = {"type": "object", **wanted["schema"]}
    return {"name": name, "description": description, "input_schema": schema}


def is_expressible(schema: Mapping[str, Any]) -> bool:
    """Structured output knows finite trees of objects without free keys."""
    if schema.get("type") != "object" or any(map(_is_open, _objects(schema))):
        return False
    defs = {
        f"#/{key}/{name}": entry
        for key in ("$defs", "definitions")
        for name, entry in schema.get(key, {}).items()
    }
    named = {"#": schema, **defs}
    return not any(_refers_to(entry, name, defs, set()) for name, entry in named.items())


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether structured output holds a call to all of it."""
    schema = {"type": "object", **schema}
    return is_expressible(schema) and constrained(schema)[0] == schema


def _refers_to(value: Any, target: str, defs: Mapping[str, Any], visited: set[str]) -> bool:
    """Whether following the references in `value` leads to `target`; `visited` grows."""
    for ref in _refs(value):
        if ref == target:
            return True
        if ref not in visited and ref in defs:
            visited.add(ref)
            if _refers_to(defs[ref], target, defs, visited):
                return True
    return False


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for entry in value.values():
            yield from _refs(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _refs(entry)


def _is_open(schema: Mapping[str, Any]) -> bool:
    extra = schema.get("additionalProperties", False if schema.get("properties") else None)
    return extra is not False


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, list):
        for entry in schema:
            yield from _objects(entry)
    if not isinstance(schema, Mapping):
        return
    if "properties" in schema or "object" in (schema.get("type"), *_types(schema)):
        yield schema
    for key, value in schema.items():
        if key in _SUBSCHEMA_MAPS and isinstance(value, Mapping):
            for entry in value.values():
                yield from _objects(entry)
        elif key in _SUBSCHEMAS:
            yield from _objects(value)


def _types(schema: Mapping[str, Any]) -> list[Any]:
    types = schema.get("type")
    return types if isinstance(types, list) else []


def constrained(schema: Mapping[str, Any]) -> tuple[Schema, list[str]]:
    """The schema in the subset that structured output takes, and the keywords that it lacks.

    Those keywords move into the description, where the model can still read them.
    """
    moved: list[str] = []
    return _constrain(schema, moved), moved


def _constrain(schema: Any, moved: list[str]) -> Any:
    if isinstance(schema, list):
        return [_constrain(entry, moved) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    result: Schema = {}
    for key, value in schema.items():
        if key in _SUBSCHEMA_MAPS:
            result[key] = {name: _constrain(entry, moved) for name, entry in value.items()}
        elif key in _SUBSCHEMAS:
            result[_SUBSCHEMAS[key]] = _constrain(value, moved)
        elif _is_kept(key, value):
            result[key] = value
    if "properties" in schema or schema.get("type") == "object":
        result["additionalProperties"] = False
    hints = {key: value for key, value in schema.items() if _is_lost(key, value)}
    if hints:
        moved.extend(hints)
        said = ", ".join(f"{key}: {value}" for key, value in hints.items())
        result["description"] = f"{result.get('description', '')} ({said})".strip()
    return result


def _is_kept(key: str, value: Any) -> bool:
    match key:
        case "minItems":
            return value in (0, 1)
        case "format":
            return value in _FORMATS
    return key in _KEPT


def _is_lost(key: str, value: Any) -> bool:
    placed = key in _SUBSCHEMA_MAPS or key in _SUBSCHEMAS or key == "additionalProperties"
    return not placed and not _is_kept(key, value)
