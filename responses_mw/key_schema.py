"""The bodies of the key routes. LiteLLM's names for the fields are understood, too."""

from typing import Any

from pydantic import AliasChoices, Field

from responses_mw.schema import RequestBody

_NAME_CHARS = 512


def _named(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


class NewKey(RequestBody):
    owner: str = Field(validation_alias=AliasChoices("owner", "user_id"), max_length=_NAME_CHARS)
    name: str | None = Field(
        default=None, validation_alias=AliasChoices("name", "key_alias"), max_length=_NAME_CHARS
    )
    models: list[str] | None = Field(default=None, max_length=1000)
    max_budget: float | None = None
    budget_duration: str | None = None
    rpm: int | None = _named("rpm", "rpm_limit")
    tpm: int | None = _named("tpm", "tpm_limit")
    expires: str | None = _named("expires", "duration")


class Revoked(RequestBody):
    """Ids of keys, or the keys themselves."""

    keys: list[str] = Field(min_length=1, max_length=1000)
