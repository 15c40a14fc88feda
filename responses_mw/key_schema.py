"""The bodies of the key routes. LiteLLM's names for the fields are understood, too."""

from typing import Any, ClassVar, Self

from pydantic import AliasChoices, Field

from responses_mw.errors import InvalidRequest
from responses_mw.schema import RequestBody

_NAME_CHARS = 512

_ITS_OWN = "does not change: the responses made with the key are its owner's. Make a new key"
_FIXED = {
    "owner": _ITS_OWN,
    "user_id": _ITS_OWN,
    "blocked": "is changed by /key/block and /key/unblock",
}
"""What cannot be changed in a key, and why."""


def _named(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


class _Limits(RequestBody):
    name: str | None = Field(
        default=None, validation_alias=AliasChoices("name", "key_alias"), max_length=_NAME_CHARS
    )
    models: list[str] | None = Field(default=None, max_length=1000)
    max_budget: float | None = None
    budget_duration: str | None = None
    rpm: int | None = _named("rpm", "rpm_limit")
    tpm: int | None = _named("tpm", "tpm_limit")
    expires: str | None = _named("expires", "duration")


class NewKey(_Limits):
    owner: str = Field(validation_alias=AliasChoices("owner", "user_id"), max_length=_NAME_CHARS)


class NamedKey(RequestBody):
    """By itself, or by its id."""

    key: str


class ChangedKey(_Limits, NamedKey):
    """What is not sent stays; null takes a limit away."""

    null_is_unset: ClassVar[bool] = False

    @classmethod
    def of(cls, body: Any) -> Self:
        given = body if isinstance(body, dict) else {}
        fixed = next((name for name in _FIXED if name in given), None)
        if fixed is not None:
            raise InvalidRequest(
                f"{fixed} {_FIXED[fixed]}.", param=fixed, code="unsupported_parameter"
            )
        return super().of(body)

    def changes(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set - {"key"}}


class Revoked(RequestBody):
    """Ids of keys, or the keys themselves."""

    keys: list[str] = Field(min_length=1, max_length=1000)
