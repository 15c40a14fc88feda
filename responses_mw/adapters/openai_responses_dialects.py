"""What differs between upstreams that speak the Responses API, as data.

A difference gets a field here; the code asks for the field and never for the vendor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

_PLAIN = r"(?:ft:)?(?:gpt-3|gpt-4|gpt-35|chatgpt-4|gpt-5[.\d]*-chat|openai\.gpt-oss)"
_FUNCTIONS = frozenset({"function"})
_MESSAGES_AND_CALLS = frozenset({"message", "reasoning", "function_call", "function_call_output"})


@dataclass(frozen=True, slots=True)
class ResponsesDialect:
    """The defaults are OpenAI's own; None means: all."""

    name: str

    # --- items and tools
    items: frozenset[str] | None = None
    tools: frozenset[str] | None = None
    allowed_tools: bool = True
    """Knows `tool_choice: allowed_tools`; else only the allowed ones are offered."""
    developer_role: str = "developer"

    # --- reasoning
    encrypted_reasoning: bool = True
    """Reasoning comes back encrypted if it is asked for; else its text is sent back."""
    plain_models: str | None = _PLAIN
    """How the names of models begin that refuse to be asked for encrypted reasoning."""
    bound_to_model: bool = False
    """Its reasoning is for the same model only, not for all of the vendor's."""

    # --- parameters; what is missing is named in `dropped`
    penalties: bool = False
    verbosity: bool = True
    logprobs: bool = True
    service_tiers: bool = True
    user_field: str | None = "safety_identifier"
    prompt_cache_key: bool = True
    passes_on: bool = True
    """Parameters that nobody but OpenAI has (prompt cache options, limits of hosted tools)."""

    # --- answers
    counts_tokens: bool = False
    reused_call_ids: bool = False
    """The first call of every answer is call_0: ids are made from the answer's as well."""
    silent_length: bool = False
    """Says `completed` when the limit was reached; only the count of tokens tells."""
    native_state: bool = True
    """Can keep responses and continue from their ids."""


OPENAI = ResponsesDialect(name="openai", counts_tokens=True)
AZURE = ResponsesDialect(name="azure", user_field="user")
AZURE_AI = replace(AZURE, name="azure_ai")
BEDROCK_MANTLE = ResponsesDialect(
    name="bedrock_mantle",
    service_tiers=False,
    user_field="user",
    reused_call_ids=True,
)
XAI = ResponsesDialect(
    name="xai",
    allowed_tools=False,
    plain_models=None,
    verbosity=False,
    service_tiers=False,
    user_field="user",
    passes_on=False,
)
OPENROUTER = ResponsesDialect(
    name="openrouter",
    plain_models=None,
    bound_to_model=True,
    penalties=True,
    user_field="user",
    native_state=False,
)
DEEPSEEK = ResponsesDialect(
    name="deepseek",
    items=_MESSAGES_AND_CALLS | {"web_search_call"},
    tools=frozenset({"function", "web_search"}),
    allowed_tools=False,
    developer_role="system",
    encrypted_reasoning=False,
    bound_to_model=True,
    verbosity=False,
    logprobs=False,
    service_tiers=False,
    user_field=None,
    prompt_cache_key=False,
    passes_on=False,
    native_state=False,
)
GENERIC = ResponsesDialect(
    name="responses",
    items=_MESSAGES_AND_CALLS,
    tools=_FUNCTIONS,
    allowed_tools=False,
    developer_role="system",
    encrypted_reasoning=False,
    bound_to_model=True,
    verbosity=False,
    service_tiers=False,
    user_field=None,
    prompt_cache_key=False,
    passes_on=False,
    native_state=False,
)
"""Any other server that says it speaks this format."""

VLLM = replace(GENERIC, name="vllm")
LMSTUDIO = replace(GENERIC, name="lmstudio", native_state=True)
LLAMACPP = replace(GENERIC, name="llamacpp", logprobs=False, silent_length=True)

DIALECTS: Mapping[str, ResponsesDialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            OPENAI, AZURE, AZURE_AI, BEDROCK_MANTLE, XAI, OPENROUTER, DEEPSEEK, VLLM, LMSTUDIO,
            LLAMACPP, GENERIC,
        )
    }
)  # fmt: skip
"""By name, for configuration files."""
