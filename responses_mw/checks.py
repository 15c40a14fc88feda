"""What can be wrong with one JSON value of a request, and how that is said.

Nothing here knows a parameter, an item or a tool by name. Checks raise Wrong with a path relative
to what they were given; the caller puts its own place in front. A message says what is allowed and
shows the value, shortened; text that a person wrote is never shown, only its type.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from pydantic_core import ErrorDetails

from responses_mw.errors import InvalidRequest
from responses_mw.json_schema import JsonSchema, nullable, said_as, words_of

MISSING = "missing_required_parameter"
INVALID_TYPE = "invalid_type"
INVALID_VALUE = "invalid_value"
UNKNOWN = "unknown_parameter"
UNSUPPORTED = "unsupported_parameter"
EXCLUSIVE = "mutually_exclusive_parameters"

MAX_TEXT = 10 * 1024 * 1024
"""Characters of one text (Open Responses: maxLength 10485760)."""

_SHOWN = 40
_MAX_PATH = 200
_KINDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Wrong(Exception):
    """Stays inside validation: `error()` is raised in its place once the whole path is known."""

    def __init__(self, at: str, problem: str, code: str = INVALID_VALUE) -> None:
        super().__init__(at, problem, code)
        self.at = at
        self.problem = problem
        self.code = code

    def under(self, place: str) -> "Wrong":
        return Wrong(join(place, self.at), self.problem, self.code)

    def error(self) -> InvalidRequest:
        at = shortened(self.at, _MAX_PATH)
        return InvalidRequest(f"'{at}' {self.problem}.", param=at, code=self.code)


def join(place: str, at: str) -> str:
    """`input` and `[0].role` make `input[0].role`."""
    return f"{place}.{at}" if place and at and not at.startswith("[") else place + at


def shortened(text: str, length: int = _SHOWN) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def kind(value: Any) -> str:
    return _KINDS.get(type(value), "a value")


def show(value: Any) -> str:
    """The value as JSON where it is short, else what it is."""
    match value:
        case str():
            return repr(shortened(value))
        case bool():
            return "true" if value else "false"
        case int() | float():
            return shortened(str(value))
        case other:
            return kind(other)


def listed(values: Collection[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def missing(at: str) -> Wrong:
    return Wrong(at, "is required", MISSING)


def wrong_type(at: str, value: Any, expected: str) -> Wrong:
    return Wrong(at, f"must be {expected}, not {kind(value)}", INVALID_TYPE)


def not_among(at: str, value: Any, allowed: Collection[str]) -> Wrong:
    return Wrong(at, f"must be one of {listed(allowed)}, not {show(value)}")


def without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """The same object if it holds none."""
    if None not in value.values():
        return value
    return {name: inner for name, inner in value.items() if inner is not None}


Check = Callable[[Any, str], None]
"""Takes a value and its name; raises Wrong."""


class Field(NamedTuple):
    """`type` is the exact JSON type, or `object` where `check` decides. Null means: not there."""

    name: str
    type: type
    required: bool = False
    check: Check | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of object: its fields, and a rule over all of them. Other keys are let pass."""

    fields: Sequence[Field] = ()
    rule: Callable[[Mapping[str, Any]], None] | None = None


def check_shape(value: Mapping[str, Any], shape: Shape) -> None:
    for name, expected, required, check in shape.fields:
        got = value.get(name)
        if got is None:
            if required:
                raise missing(name)
        elif expected is not object and type(got) is not expected:
            raise wrong_type(name, got, _KINDS[expected])
        elif check is not None:
            check(got, name)
    if shape.rule is not None:
        shape.rule(value)


_TYPES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    list: "array",
    dict: "object",
}
_OF_ARRAYS = {"minLength": "minItems", "maxLength": "maxItems"}


def shape_schema(shape: Shape, **more: JsonSchema) -> JsonSchema:
    """Of the objects that `check_shape` lets pass; `more` are properties that it does not see."""
    fields = {field.name: _field_schema(field) for field in shape.fields}
    properties = {**more, **fields}
    schema: JsonSchema = {"type": "object"}
    if properties:
        schema["properties"] = properties
    if required := [field.name for field in shape.fields if field.required]:
        schema["required"] = required
    if shape.rule is not None:
        schema["allOf"] = [words_of(shape.rule)]
    return schema


def _field_schema(field: Field) -> JsonSchema:
    words = {} if field.check is None else words_of(field.check)
    if field.type is list:
        words = {_OF_ARRAYS.get(word, word): value for word, value in words.items()}
    schema = words if field.type is object else {"type": _TYPES[field.type], **words}
    return schema if field.required else nullable(schema)


def check_typed(
    value: Any, shapes: Mapping[str, Shape], *, of: Collection[str] | None = None
) -> None:
    """An object whose `type` says which shape it has; `of` narrows what may stand here."""
    if type(value) is not dict:
        raise wrong_type("", value, "an object")
    type_ = value.get("type")
    if type_ is None:
        raise missing("type")
    if type(type_) is not str:
        raise wrong_type("type", type_, "a string")
    allowed = shapes if of is None else of
    if type_ not in allowed:
        raise not_among("type", type_, allowed)
    check_shape(value, shapes[type_])


def check_each(values: Sequence[Any], at: str, check: Callable[[Any], None]) -> None:
    for index, value in enumerate(values):
        try:
            check(value)
        except Wrong as wrong:
            raise wrong.under(f"{at}[{index}]") from None


def one_of(*allowed: str) -> Check:
    @said_as({"enum": list(allowed)})
    def check(value: Any, at: str) -> None:
        if value not in allowed:
            raise not_among(at, value, allowed)

    return check


def length(least: int, most: int) -> Check:
    """Of a string in characters, of an array in elements."""

    @said_as({"minLength": least, "maxLength": most})
    def check(value: Any, at: str) -> None:
        if not least <= len(value) <= most:
            unit = "characters" if isinstance(value, str) else "elements"
            raise Wrong(at, f"must have {least} to {most} {unit}, not {len(value)}")

    return check


MAX_DEPTH = 240


def not_too_deep(value: Any, at: str = "") -> None:
    """What is accepted must also be writable again: orjson reads 1024 levels and writes 254.

    The levels put around the value are those that events, stored turns and upstream bodies may add.
    """
    try:
        orjson.dumps((((((((((((((value,),),),),),),),),),),),),))
    except TypeError:
        raise Wrong(at, f"is nested more than {MAX_DEPTH} levels deep; send it flatter") from None


# --- errors of the model, in our words

_MODEL_TYPES = {
    "string_type": "a string",
    "bool_type": "a boolean",
    "int_type": "an integer",
    "float_type": "a number",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
}
_COUNTS = {
    "string_too_short": "must not be empty",  # no model asks for more than one
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries, not {actual_length}",
}
_LIMITS = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "string_too_long": "must have at most {max_length} characters",
    "name": "may hold no control characters, and no '.' or '..' between slashes",
}


def wrong_by_model(error: ErrorDetails, *, private: tuple[str, ...]) -> Wrong:
    """What pydantic found; the values of `private` parameters are not shown."""
    at, value, type_ = _path(error["loc"]), error["input"], error["type"]
    if type_ == "missing":
        return missing(at)
    if type_ == "extra_forbidden":
        return Wrong(at, "is not a parameter of this endpoint; leave it out", UNKNOWN)
    if type_ in _MODEL_TYPES:
        return wrong_type(at, value, _MODEL_TYPES[type_])
    limits = {name: _plain(limit) for name, limit in error.get("ctx", {}).items()}
    if type_ in _COUNTS:
        return Wrong(at, _COUNTS[type_].format(**limits))
    problem = _LIMITS.get(type_, "is not valid").format(**limits)
    shown = f", not {show(value)}"
    return Wrong(at, problem if at.startswith(private) else problem + shown)


def _plain(limit: Any) -> Any:
    return f"{limit:g}" if isinstance(limit, float) else limit


def _path(loc: Sequence[str | int]) -> str:
    path = ""
    for step in loc:
        if step != "[key]":  # how pydantic says that the key itself is wrong
            path = join(path, f"[{step}]" if isinstance(step, int) else step)
    return path
