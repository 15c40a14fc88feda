"""Instances are what their schema accepts, by the judgement of jsonschema."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from responses_mw.testing.instances import instance_of

TREE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "leaves": {"type": "array", "items": {"$ref": "#/$defs/leaf"}},
    },
    "required": ["name", "left", "leaves"],
    "additionalProperties": False,
    "$defs": {"leaf": {"type": "object", "properties": {"leaves": {"$ref": "#"}}}},
}

SCHEMAS: list[Any] = [
    True,
    {},
    TREE,
    {"const": 7},
    {"enum": ["b", "a"]},
    {"type": "string", "minLength": 9},
    {"type": "string", "maxLength": 2},
    {"type": "string", "format": "uuid"},
    {"type": ["null", "string"]},
    {"type": "boolean"},
    {"type": "integer", "minimum": 3, "maximum": 4},
    {"type": "integer", "exclusiveMinimum": 3},
    {"type": "integer", "maximum": -5},
    {"type": "integer", "minimum": 5, "multipleOf": 7},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "exclusiveMaximum": 0},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": False},
    {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]},
    {"allOf": [{"properties": {"a": {"type": "null"}}}, {"required": ["b"]}], "type": "object"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "null"}}},
    {"type": "object", "properties": {"a": {"enum": [None]}}, "required": ["a"]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_an_instance_is_accepted_by_its_schema(schema: Any) -> None:
    made = instance_of(schema)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(made)
    assert len(json.dumps(made)) < 500


def test_strings_say_what_was_asked_for() -> None:
    assert instance_of({"properties": {"city": {"type": "string"}}}, text="Rome") == {
        "city": "Rome"
    }


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "string", "pattern": "^a+$"}, "pattern"),
        ({"$ref": "https://example.com/schema"}, "leads out"),
        ({"type": "float"}, "no type of JSON Schema"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "no number"),
        ({"properties": {"again": {"$ref": "#"}}}, "without end"),
        ({"anyOf": []}, "anyOf is empty"),
    ],
    ids=lambda value: json.dumps(value),
)
def test_what_cannot_be_made_is_said(schema: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        instance_of(schema)
