"""What a call says besides its request: where to ask, with which key, how long to wait.

The keywords of a call are parted here; every other one is a parameter of the request and checked as
such.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from responses_mw.errors import InvalidRequest
from responses_mw.text_formats import text_with

_PLACE = frozenset({
    "api_key", "api_base", "base_url", "api_version", "organization", "project", "tenant_id",
    "client_id", "client_secret", "use_chat_completions_api", "use_responses_api",
    "responses_dialect", "native_state",
})  # fmt: skip
_PLACES = ("aws_", "azure_", "vertex_")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """`place` is of a deployment's `litellm_params`; `timeout` is in seconds. `session` and `tags`
    are what the headers of a request would say."""

    place: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout: float | None = None
    retries: int | None = None
    drop_params: bool | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    mock: Any = None

    @classmethod
    def taken_from(cls, asked: dict[str, Any]) -> Self:
        """Takes them out of `asked`; what is left are parameters. Raises InvalidRequest."""
        place = {name: asked.pop(name) for name in list(asked) if _of_a_place(name)}
        named = _taken(asked, "litellm_metadata", Mapping) or {}
        text_format = asked.pop("text_format", None)
        if text_format is not None:
            asked["text"] = text_with(text_format, asked.get("text"))
        return cls(
            place={name: value for name, value in place.items() if value is not None},
            headers=_taken(asked, "extra_headers", Mapping) or {},
            body=_taken(asked, "extra_body", Mapping) or {},
            timeout=_taken(asked, "timeout", (int, float)),
            retries=_taken(asked, "num_retries", int),
            drop_params=_taken(asked, "drop_params", bool),
            session=_session(asked, named),
            tags=_tags(named),
            mock=asked.pop("mock_response", None),
        )


def _of_a_place(name: str) -> bool:
    return name in _PLACE or name.startswith(_PLACES)


def _session(asked: dict[str, Any], named: Mapping[str, Any]) -> str | None:
    """The keyword, else where LiteLLM looks: what stands in `metadata` stays there."""
    sessions = [_taken(asked, name, str) for name in ("session_id", "litellm_session_id")]
    own = asked.get("metadata")
    for metadata in (named, own if isinstance(own, Mapping) else {}):
        found = metadata.get("session_id")
        sessions.append(found if isinstance(found, str) else None)
    return next((session for session in sessions if session), None)


def _tags(named: Mapping[str, Any]) -> tuple[str, ...]:
    tags = named.get("tags", ())
    if not isinstance(tags, (list, tuple)) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidRequest(
            "litellm_metadata.tags must be a list of texts.",
            param="litellm_metadata.tags",
            code="invalid_type",
        )
    return tuple(tags)


def _taken(asked: dict[str, Any], name: str, kind: Any) -> Any:
    value = asked.pop(name, None)
    if value is None:
        return None
    wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    if wrong or (name == "timeout" and value <= 0):
        raise InvalidRequest(
            f"{name} is a {type(value).__name__} that makes no sense here; "
            f"{_WANTED[name]} is needed.",
            param=name,
            code="invalid_type" if wrong else "invalid_value",
        )
    return value


_WANTED = {
    "extra_headers": "a mapping of names to texts",
    "extra_body": "a mapping",
    "timeout": "a positive number of seconds",
    "num_retries": "a whole number",
    "drop_params": "True or False",
    "session_id": "text",
    "litellm_session_id": "text",
    "litellm_metadata": "a mapping",
}
