"""Deployments that speak Responses themselves, from what a configuration file says of them.

Who is asked so is decided here; how a vendor's format differs is data in
`openai_responses_dialects`.
"""

import hashlib
from collections.abc import Mapping

from responses_mw.adapters import openai_responses_dialects as dialects
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.config_table import Table
from responses_mw.errors import ConfigurationError
from responses_mw.places import Place

DIALECT_OF: Mapping[str, dialects.ResponsesDialect] = {
    "openai": dialects.OPENAI,
    "azure": dialects.AZURE,
    "bedrock_mantle": dialects.BEDROCK_MANTLE,
    "azure_ai": dialects.AZURE_AI,
    "xai": dialects.XAI,
    "deepseek": dialects.DEEPSEEK,
    "openrouter": dialects.OPENROUTER,
    "hosted_vllm": dialects.VLLM,
    "lm_studio": dialects.LMSTUDIO,
}
"""Those of BY_DEFAULT are asked by Responses unless the file says `use_chat_completions_api`, the
others only if it says `use_responses_api`."""

BY_DEFAULT = ("openai", "azure", "bedrock_mantle")

_FORMATS: Mapping[str, bool] = {"responses": True, "chat_completions": False}
"""What a name may begin with to say the format: whether it is Responses."""


def spoken(prefix: str, name: str, params: Table) -> tuple[bool, str]:
    """Whether Responses is, and the upstream's own name: `openai/responses/NAME` says both."""
    responses = _speaks_responses(prefix, params)
    said, _, rest = name.partition("/")
    if prefix in ("openai", "azure") and rest and said in _FORMATS:
        return _FORMATS[said], rest
    return responses, name


def _speaks_responses(prefix: str, params: Table) -> bool:
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


def _binding(place: Place) -> str:
    """Who can read what is encrypted there: an organisation if it is named, else a key's owner.

    A digest, since it is stored with conversations.
    """
    payer = place.headers.get("openai-organization") or place.headers.get(
        "api-key", place.headers.get("authorization", "")
    )
    return hashlib.sha256(f"{place.base_url} {payer}".encode()).hexdigest()[:16]
