"""`text_format=Model` of a call without a server: the parameter `text` that asks for one.

Only what strict schemas demand is changed of what pydantic says of the model.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from responses_mw.errors import InvalidRequest


def text_with(format: Any, text: Any) -> dict[str, Any]:
    """`text` as the call has it, if it has one. Raises InvalidRequest."""
    if text is not None and not isinstance(text, Mapping):
        raise InvalidRequest("text must be a mapping.", param="text", code="invalid_type")
    if not isinstance(format, type) or not issubclass(format, BaseModel):
        raise InvalidRequest(
            "text_format must be a class of pydantic models; a schema goes into text.format.",
            param="text_format",
            code="invalid_type",
        )
    name = re.sub(r"[^A-Za-z0-9_-]", "_", format.__name__)[:64]
    schema = _strict(format.model_json_schema())
    said = {"type": "json_schema", "name": name, "schema": schema, "strict": True}
    return {**(text or {}), "format": said}


def _strict(schema: Any) -> Any:
    """Every property required, no others, and no defaults."""
    match schema:
        case list():
            return [_strict(inner) for inner in schema]
        case {"properties": dict(properties), **rest}:
            closed = {"additionalProperties": False, "required": list(properties)}
            named = {name: _strict(inner) for name, inner in properties.items()}
            return {**_strict(rest), "properties": named, **closed}
        case dict():
            return {key: _strict(inner) for key, inner in schema.items() if key != "default"}
        case _:
            return schema
