"""Requests to create a response in short, and what is refused of them."""

from typing import Any

import pytest

from responses_mw.errors import InvalidRequest
from responses_mw.schema import CreateRequest

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
TIME = {"type": "function", "name": "get_time"}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

MISSING, VALUE, TYPE = "missing_required_parameter", "invalid_value", "invalid_type"
EXCLUSIVE = "mutually_exclusive_parameters"
UNKNOWN, UNSUPPORTED = "unknown_parameter", "unsupported_parameter"


def ask(**parameters: Any) -> CreateRequest:
    return CreateRequest.of({"model": "m", "input": "Hi.", **parameters})


def refusal(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        CreateRequest.of(body)
    return caught.value
