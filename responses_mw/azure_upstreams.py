"""Deployments at Azure, from what a configuration file says: Azure OpenAI and Azure AI Foundry.

Both have an address with an api-version and one without; credentials are a key, a token, or Entra.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import AZURE, GENERIC
from responses_mw.azure_auth import OLDER_SCOPE, V1_SCOPE, AzureAuth
from responses_mw.config_table import Table
from responses_mw.errors import ConfigurationError
from responses_mw.places import Place, Served, address, check_address
from responses_mw.routing.deployments import WILDCARD
from responses_mw.transport import Auth

_KEYS = ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")
_FOUNDRY_KEYS = ("AZURE_AI_API_KEY",)
_V1 = ("v1", "latest")
"""Values of `api_version` that mean the address without one."""
_MODELS_VERSION = "2024-05-01-preview"
_ASKED = ("/responses", "/chat/completions", "/v1/messages")
"""What addresses end in that were copied whole; the adapters append it."""
_SERIES = ("o_series", "gpt5_series")
_OPENAI_MODELS = ("gpt-", "o1", "o3", "o4", "codex")


def azure(name: str, params: Table, *, responses: bool) -> Served:
    """At /openai/v1; with a date as version, Responses at /openai and chat at its deployment."""
    parts, version = _given(params, "AZURE_API_BASE")
    version = version or os.environ.get("AZURE_API_VERSION")
    version = None if version in _V1 else version
    older = _is_date(version)
    name = _without_series(name)
    path = _path(parts)
    if path in ("", "/openai"):
        path = "/openai" if older else "/openai/v1"
        if older and not responses:
            if WILDCARD in name:
                raise ConfigurationError(
                    f"{params.path}.model: with api_version {version} the address names the "
                    "deployment, so it cannot be `*`; leave api_version out, or name each one"
                )
            path = f"/openai/deployments/{quote(name, safe='')}"
    headers, auth = _credentials(params, _KEYS, older=older)
    place = Place(f"{parts.scheme}://{parts.netloc}{path}", headers, auth, version)
    return Served(ChatCompletions(AZURE, api_version=version), place, name)


def azure_ai(name: str, params: Table, *, responses: bool) -> Served:
    """At Foundry's /openai/v1, its older /models, or /anthropic for Claude; a wildcard may mean
    both."""
    parts, version = _given(params, "AZURE_AI_API_BASE")
    version = None if version in _V1 else version
    path = _path(parts)
    host = f"{parts.scheme}://{parts.netloc}"
    if name.startswith("claude") or path.endswith("/anthropic"):
        return _claude(name, params, host + (path if path.endswith("/anthropic") else "/anthropic"))
    if path in ("", "/openai"):
        path = "/models" if _is_date(version) and not path else "/openai/v1"
    older = path.endswith("/models")
    if older and responses:
        raise ConfigurationError(
            f"{params.path}: Foundry's /models speaks chat completions; leave out "
            "use_responses_api, or api_version and the path of api_base"
        )
    version = version or (_MODELS_VERSION if older else None)
    headers, auth = _credentials(params, _FOUNDRY_KEYS, older=older)
    # The older address serves models of many vendors, which know the older names only.
    dialect = GENERIC if older and not name.startswith(_OPENAI_MODELS) else AZURE
    adapter = ChatCompletions(replace(dialect, name="azure_ai"), api_version=version)
    claude = _claude(name, params, f"{host}/anthropic") if WILDCARD in name else None
    return Served(adapter, Place(host + path, headers, auth, version), name, claude)


def _claude(name: str, params: Table, url: str) -> Served:
    headers, auth = _credentials(params, _FOUNDRY_KEYS, older=False)
    if "api-key" in headers:
        headers["x-api-key"] = headers["api-key"]  # the official client sends both
    return Served(AnthropicMessages(name="azure_ai"), Place(url, headers, auth), name)


def _given(params: Table, variable: str) -> tuple[SplitResult, str | None]:
    """The address, and the version that is named beside or in it."""
    base = address(params) or os.environ.get(variable)
    if not base:
        raise ConfigurationError(
            f"{params.path}.api_base is missing: give the address of the Azure resource"
        )
    check_address(base, f"{params.path}.api_base")
    parts = urlsplit(base)
    version = params.text("api_version") or parse_qs(parts.query).get("api-version", [None])[0]
    return parts, version


def _without_series(name: str) -> str:
    """LiteLLM's users say so which models stand behind a deployment's name."""
    series, _, rest = name.partition("/")
    return rest if rest and series in _SERIES else name


def _path(parts: SplitResult) -> str:
    path = parts.path.rstrip("/")
    for asked in _ASKED:
        path = path.removesuffix(asked)
    return path


def _is_date(version: str | None) -> bool:
    """`preview` is a version of the v1 address; 2025-03-01-preview is not."""
    return version is not None and version[:1].isdigit()


def _credentials(
    params: Table, variables: Sequence[str], *, older: bool
) -> tuple[dict[str, str], Auth | None]:
    key = params.text("api_key")
    token = params.text("azure_ad_token")
    if token:
        return {"authorization": f"Bearer {token}"}, None
    for variable in variables:
        key = key or os.environ.get(variable)
    if key:
        return {"api-key": key}, None
    return {}, AzureAuth(OLDER_SCOPE if older else V1_SCOPE)
