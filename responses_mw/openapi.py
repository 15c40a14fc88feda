"""The OpenAPI 3.1 document of an application: its routes, what they take and what they answer.

How the pieces are put together stands here. Routes are described in `openapi_routes`, bodies in
`openapi_requests` and `openapi_answers`.
"""

import copy
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from responses_mw.json_schema import PREFIX, JsonSchema, component
from responses_mw.openapi_answers import COUNT, TEXT, answer_schemas
from responses_mw.openapi_requests import request_schemas
from responses_mw.openapi_routes import OPERATIONS, Operation

_ERRORS: Mapping[str, str] = {
    "400": "The request is wrong: `param` says where. Or the model's provider refused it.",
    "401": "Nobody this server knows asks, or the provider refused the server's own key.",
    "403": "The host, or the provider, does not allow it.",
    "404": "There is none with this id among what the caller owns.",
    "409": "The response to continue is still being generated.",
    "413": "The body is larger than this server takes.",
    "415": "The body is encoded, or no JSON from a page of another site.",
    "429": "The provider's rate limit or budget is used up.",
    "500": "A mistake of this server.",
    "502": "The provider could not be reached, or said what its protocol does not know.",
    "503": "The store or the provider does not answer, or the server is about to end.",
    "504": "The provider was silent for too long.",
    "5XX": "The provider's own failure.",
}
_RETRY_LATER = ("409", "429", "503")
_REQUEST_ID: Mapping[str, str] = {"x-request-id": "The request's own id."}
_IDENTITY: list[dict[str, list[str]]] = [{"bearer": []}, {}]
"""Clients send a bearer token; whether it is looked at is for the host to say."""


def document(
    *, prefix: str = "", server: str | None = None, prompts: bool = True
) -> dict[str, Any]:
    """A new one for each call: the caller may change it. `prefix` goes before every path; `server`
    is the address that paths are below; `prompts`: the application has registered some."""
    schemas = {**request_schemas(prompts=prompts), **answer_schemas()}
    found = {
        "openapi": "3.1.0",
        "info": {
            "title": "Responses API",
            "summary": "OpenAI's Responses API over any provider, with stored conversations.",
            "version": metadata.version("responses-mw"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": _IDENTITY,
        "paths": {f"{prefix}{path}": _path(path) for path in OPERATIONS},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {f"{PREFIX}{name}": schema for name, schema in schemas.items()},
        },
        **({} if server is None else {"servers": [{"url": server}]}),
    }
    return copy.deepcopy(found)


def _path(path: str) -> dict[str, Any]:
    return {
        method.lower(): _operation(path, operation)
        for method, operation in OPERATIONS[path].items()
    }


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [path.split("/")[1].partition(".")[0]],
    }
    if operation.open:
        found["security"] = []
    in_path = [_parameter("path", name, _segment(path, name)) for name in _names(path)]
    in_query = [_parameter("query", name, of) for name, of in operation.query.items()]
    if in_path or in_query:
        found["parameters"] = [*in_path, *in_query]
    if operation.body is not None:
        found["requestBody"] = {
            "required": operation.body_required,
            "content": _json(operation.body),
        }
    errors = {status: _error(status, operation) for status in operation.errors}
    return {**found, "responses": {"200": _answer(operation), **errors}}


def _names(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def _segment(path: str, name: str) -> JsonSchema:
    """The last one of a path may hold slashes if it is a name."""
    return {**TEXT, "minLength": 1} if name == "name" else {**TEXT, "pattern": "^[^/]+$"}


def _parameter(place: str, name: str, schema: JsonSchema) -> dict[str, Any]:
    told = dict(schema)
    description = told.pop("description", None)
    found = {"name": name, "in": place, "required": place == "path", "schema": told}
    return found if description is None else {**found, "description": description}


def _answer(operation: Operation) -> dict[str, Any]:
    named = operation.answers
    content = {"text/plain": {"schema": TEXT}} if named is None else _json(named)
    if operation.streams:
        content["text/event-stream"] = {"schema": component("event_message")}
    found: dict[str, Any] = {"description": operation.summary, "content": content}
    headers = operation.headers if named is None else {**_REQUEST_ID, **operation.headers}
    if headers:
        found["headers"] = {name: _header(told) for name, told in headers.items()}
    if operation.links:
        found["links"] = {id: _link(id, asked) for id, asked in operation.links.items()}
    return found


def _link(id: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    return {"operationId": id, "parameters": dict(parameters)}


def _error(status: str, operation: Operation) -> dict[str, Any]:
    body = "health" if operation.answers == "health" else "error"
    headers = {name: _header(told) for name, told in _REQUEST_ID.items()}
    if status in _RETRY_LATER and body == "error":
        headers["Retry-After"] = _header("Seconds to wait.", COUNT)
    return {"description": _ERRORS[status], "content": _json(body), "headers": headers}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": component(name)}}


def _header(told: str, schema: JsonSchema = TEXT) -> dict[str, Any]:
    return {"description": told, "schema": schema}
