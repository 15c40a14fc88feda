"""What the calls without a server return: JSON that reads like the OpenAI client's objects.

Nothing is checked or filled in here: an object has the attributes its JSON has.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_MAPPINGS = frozenset({"metadata", "parameters", "schema", "variables", "attributes", "headers"})
"""Their keys are somebody's own words, no attributes: they are dictionaries."""


class Reply:
    """One JSON object, read-only: `reply.name` and `reply["name"]` are the same, at any depth.

    A name it does not have is an AttributeError. `_json` is not to be modified.
    """

    __slots__ = ("_json",)

    _json: dict[str, Any]

    def __init__(self, json: dict[str, Any]) -> None:
        object.__setattr__(self, "_json", json)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._json:
            known = ", ".join(self._json) if not name.startswith("_") else "no private names"
            raise AttributeError(f"there is no {name!r} here; there are {known}")
        return _read(name, self._json[name])

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name!r} cannot be set: replies are read-only; see model_dump()")

    def __getitem__(self, name: str) -> Any:
        return _read(name, self._json[name])

    def __contains__(self, name: object) -> bool:
        return name in self._json

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Pairs, so that `dict(reply)` is one level of it."""
        return ((name, self[name]) for name in self._json)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._json})

    def __eq__(self, other: object) -> bool:
        return self._json == other._json if isinstance(other, Reply) else NotImplemented

    def __hash__(self) -> int:
        raise TypeError(f"a {type(self).__name__} is no key: it is JSON; take its id")

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self)
        return f"{type(self).__name__}({inner})"

    def __reduce__(self) -> Any:
        return type(self), (self._json,)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self._json else default

    def model_dump(self, *, mode: str = "python", exclude_none: bool = False) -> dict[str, Any]:
        """A copy of the JSON, for the caller to change. Both modes are the same."""
        found: dict[str, Any] = _without_nulls(self._json) if exclude_none else self._json
        return copy.deepcopy(found)

    def model_dump_json(self, *, indent: int | None = None, exclude_none: bool = False) -> str:
        """`indent` is 2 if it is anything."""
        found = _without_nulls(self._json) if exclude_none else self._json
        return orjson.dumps(found, option=orjson.OPT_INDENT_2 if indent else None).decode()

    to_dict = model_dump
    to_json = model_dump_json


class Response(Reply):
    """A response, as it was when it was told. What a type does not name is there all the same."""

    __slots__ = ("headers",)

    id: str
    object: str
    created_at: int
    status: str
    model: str
    output: list[Any]
    usage: Any
    error: Any
    incomplete_details: Any
    previous_response_id: str | None
    headers: Mapping[str, str]

    def __init__(self, json: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        """`headers` are what the HTTP answer would have: who answered, what was left out."""
        super().__init__(json)
        object.__setattr__(self, "headers", dict(headers or {}))

    def __reduce__(self) -> Any:
        return type(self), (self._json, self.headers)

    @property
    def output_text(self) -> str:
        """All text of the answer; "" where there is none."""
        parts = (
            part
            for item in self._json["output"]
            if item["type"] == "message"
            for part in item["content"]
        )
        return "".join(part["text"] for part in parts if part["type"] == "output_text")


class Event(Reply):
    """An event of a stream; those that tell the whole response have it as `response`."""

    __slots__ = ()

    type: str
    sequence_number: int


def plain(value: Any) -> Any:
    """For `orjson.dumps(default=...)`: replies, pydantic's objects and mappings as JSON. Raises
    TypeError for anything else."""
    if isinstance(value, Reply):
        return value._json
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _read(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        if name in _MAPPINGS:
            return copy.deepcopy(value)
        return Response(value) if value.get("object") == "response" else Reply(value)
    if isinstance(value, list):
        return [_read("", entry) for entry in value]
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(v) for name, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    return value
