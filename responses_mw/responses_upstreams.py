"""Deployments that speak Responses themselves, from what a configuration file says of them.

Addresses and credentials are decided here; how a vendor's format differs is data in
`openai_responses_dialects`.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from responses_mw.adapters import openai_responses_dialects as dialects
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.azure_auth import OLDER_SCOPE, V1_SCOPE, AzureAuth
from responses_mw.config_table import Table
from responses_mw.errors import ConfigurationError
from responses_mw.transport import Auth

DIALECT_OF: Mapping[str, dialects.ResponsesDialect] = {
    "openai": dialects.OPENAI,
    "azure": dialects.AZURE,
    "xai": dialects.XAI,
    "deepseek": dialects.DEEPSEEK,
    "openrouter": dialects.OPENROUTER,
    "hosted_vllm": dialects.VLLM,
    "lm_studio": dialects.LMSTUDIO,
}
"""The first two are asked by Responses unless the file says `use_chat_completions_api`, the others
only if it says `use_responses_api`."""

BY_DEFAULT = ("openai", "azure")

_AZURE_KEYS = ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
_AZURE_V1 = ("v1", "latest")
"""Values of `api_version` that mean the address without one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upstream is, and what proves who asks."""

    base_url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    auth: Auth | None = None
    api_version: str | None = None


def speaks_responses(prefix: str, params: Table) -> bool:
    chat = params.flag("use_chat_completions_api")
    if prefix not in DIALECT_OF:
        return False
    wanted = params.flag("use_responses_api")
    if chat and wanted:
        raise ConfigurationError(
            f"{params.path}: use_chat_completions_api and use_responses_api exclude each other"
        )
    return bool(wanted) if prefix not in BY_DEFAULT else not chat


def responses_adapter(prefix: str, place: Place, params: Table) -> OpenAIResponses:
    dialect = DIALECT_OF[prefix]
    named = params.text("responses_dialect")
    if named is not None:
        if named not in dialects.DIALECTS:
            raise ConfigurationError(
                f"{params.path}.responses_dialect is {named!r}; known are "
                f"{', '.join(sorted(dialects.DIALECTS))}"
            )
        dialect = dialects.DIALECTS[named]
    native_state = params.flag("native_state") or False
    if native_state and not dialect.native_state:
        raise ConfigurationError(
            f"{params.path}.native_state: {dialect.name} keeps no responses to continue from"
        )
    return OpenAIResponses(
        dialect=dialect,
        binding=_binding(place),
        api_version=place.api_version,
        native_state=native_state,
    )


def organisation(params: Table) -> dict[str, str]:
    """OpenAI's headers for who pays, where a key belongs to several."""
    named = {
        "openai-organization": params.text("organization"),
        "openai-project": params.text("project"),
    }
    return {name: value for name, value in named.items() if value}


def azure_place(params: Table) -> Place:
    """Azure's address in either form: /openai/v1, or /openai with an api-version."""
    given = params.text("api_base") or params.text("base_url") or os.environ.get("AZURE_API_BASE")
    version = params.text("api_version") or os.environ.get("AZURE_API_VERSION")
    if not given:
        raise ConfigurationError(
            f"{params.path}.api_base is missing: give the address of the Azure resource"
        )
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{params.path}.api_base is not an http:// or https:// address")
    version = version or parse_qs(parts.query).get("api-version", [None])[0]
    version = None if version in _AZURE_V1 else version
    path = parts.path.rstrip("/").removesuffix("/responses")
    if path in ("", "/openai"):
        path = "/openai" if _is_date(version) else "/openai/v1"
    headers, auth = _azure_credentials(params, older=_is_date(version))
    return Place(f"{parts.scheme}://{parts.netloc}{path}", headers, auth, version)


def _is_date(version: str | None) -> bool:
    """`preview` is a version of the v1 address; 2025-03-01-preview is not."""
    return version is not None and version[:1].isdigit()


def _azure_credentials(params: Table, *, older: bool) -> tuple[dict[str, str], Auth | None]:
    key = params.text("api_key")
    token = params.text("azure_ad_token")
    if token:
        return {"authorization": f"Bearer {token}"}, None
    for variable in _AZURE_KEYS:
        key = key or os.environ.get(variable)
    if key:
        return {"api-key": key}, None
    return {}, AzureAuth(OLDER_SCOPE if older else V1_SCOPE)


def _binding(place: Place) -> str:
    """Who can read what is encrypted there: an organisation if it is named, else a key's owner.

    A digest, since it is stored with conversations.
    """
    payer = place.headers.get("openai-organization") or place.headers.get(
        "api-key", place.headers.get("authorization", "")
    )
    return hashlib.sha256(f"{place.base_url} {payer}".encode()).hexdigest()[:16]
