"""Makes a value that a JSON Schema accepts: always the same, and about as small as it may be.

Covers what structured output and function parameters use. A string with a `pattern` is beyond it
and raises ValueError, rather than pretending.
"""

import math
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any] | bool

_SHALLOW = 2
_DEPTH = 12
_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "P1D",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def instance_of(schema: Schema, *, text: str = "example") -> Any:
    """`text` is what strings say where the schema leaves it open."""
    return _Maker(schema, text).make(schema, 0)


class _Maker:
    def __init__(self, root: Schema, text: str) -> None:
        self._root = root
        self._text = text

    def make(self, schema: Schema, depth: int) -> Any:
        if isinstance(schema, bool):
            return {}
        if depth > _DEPTH:
            raise ValueError("the schema demands a value that is nested without end")
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._first_possible(schema, key, depth)
        return self._typed(schema, depth)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """References followed, and everything that `allOf` demands gathered in one schema."""
        while "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._referenced(schema["$ref"]), **rest}
        for part in schema.get("allOf", ()):
            schema = _both(schema, self._resolved(part))
        return schema

    def _referenced(self, reference: str) -> Mapping[str, Any]:
        if not reference.startswith("#"):
            raise ValueError(f"the reference {reference!r} leads out of the schema")
        found: Any = self._root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found[int(name)] if isinstance(found, list) else found[name]
        return dict(found)

    def _first_possible(self, schema: Mapping[str, Any], key: str, depth: int) -> Any:
        """The first branch that can be made; deep down, one without references (a tree's null)."""
        outside = {name: value for name, value in schema.items() if name != key}
        branches = list(schema[key])
        if depth > _SHALLOW:
            branches.sort(key=lambda branch: isinstance(branch, Mapping) and "$ref" in branch)
        failure = ValueError(f"{key} is empty")
        for branch in branches:
            try:
                return self.make(_both(outside, self._resolved(branch)), depth + 1)
            except ValueError as error:
                failure = error
        raise failure

    def _typed(self, schema: Mapping[str, Any], depth: int) -> Any:
        type = schema.get("type")
        if isinstance(type, list):
            type = type[0]
        if type is None:
            type = "object" if "properties" in schema or "required" in schema else "string"
        match type:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return _number(schema, whole=type == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case other:
                raise ValueError(f"{other!r} is no type of JSON Schema")

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", list(properties))
        return {name: self.make(properties.get(name, True), depth + 1) for name in required}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        """One item where none is demanded (not deep down), to show what an item is like."""
        first = [self.make(prefix, depth + 1) for prefix in schema.get("prefixItems", ())]
        items = schema.get("items", True)
        shown = 0 if depth > _SHALLOW else min(1, schema.get("maxItems", 1))
        wanted = schema.get("minItems", shown)
        if items is False or len(first) >= wanted:
            return first
        return first + [self.make(items, depth + 1) for _ in range(wanted - len(first))]

    def _string(self, schema: Mapping[str, Any]) -> str:
        if "pattern" in schema:
            raise ValueError(f"no string is made here for the pattern {schema['pattern']!r}")
        text = _FORMATS.get(schema.get("format", ""), self._text)
        text = text.ljust(schema.get("minLength", 0), ".")
        return text[: schema.get("maxLength", len(text))]


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    """Nought, if it is allowed, else the value nearest to a bound."""
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    most = schema.get("maximum", schema.get("exclusiveMaximum", 0))
    lowest, highest = math.ceil(least / step) * step, math.floor(most / step) * step
    between = (least + most) / 2
    for value in (0, lowest, lowest + step, highest, highest - step, between):
        if _fits(value, schema) and not (whole and value != int(value)):
            return int(value) if whole else value
    raise ValueError(f"no number was found that {dict(schema)} accepts")


def _fits(value: float, schema: Mapping[str, Any]) -> bool:
    demands = (
        value >= schema.get("minimum", -math.inf),
        value > schema.get("exclusiveMinimum", -math.inf),
        value <= schema.get("maximum", math.inf),
        value < schema.get("exclusiveMaximum", math.inf),
        value % schema.get("multipleOf", value or 1) == 0,
    )
    return all(demands)


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    for key in ("properties", "required"):
        if key in one and key in other:
            gathered = (
                {**one[key], **other[key]} if key == "properties" else [*one[key], *other[key]]
            )
            merged[key] = gathered
    return merged
