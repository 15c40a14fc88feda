"""Which providers a configuration may name, as data: prefix, wire format, address, key.

A new vendor of a known format is one line here. An address that only its operator knows (an own
server, an account) is None and must be given as `api_base`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.gemini import Gemini

KeyHeader = Literal["authorization", "x-api-key", "x-goog-api-key"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """`key_variable` is read when the file names no key; without a default address it is optional.

    `path` is what an `api_base` without any path gets: some vendors' users give the bare host.
    `own_path` is what the adapter's paths begin with: an `api_base` that ends in it is cut.
    """

    adapter: Callable[[], Adapter]
    base_url: str | None = None
    key_variable: str | None = None
    key_header: KeyHeader = "authorization"
    path: str = ""
    own_path: str = ""

    def headers(self, key: str | None) -> dict[str, str]:
        if key is None:
            return {}
        return {self.key_header: f"Bearer {key}" if self.key_header == "authorization" else key}


def _chat(
    dialect: dialects.ChatDialect,
    base_url: str | None = None,
    key_variable: str | None = None,
    *,
    path: str = "",
) -> Upstream:
    return Upstream(lambda: ChatCompletions(dialect), base_url, key_variable, path=path)


OPENAI_CHAT = _chat(dialects.OPENAI, "https://api.openai.com/v1", "OPENAI_API_KEY")
COMPATIBLE_CHAT = _chat(dialects.GENERIC)
"""What `openai/NAME` with an `api_base` of its own is: somebody else's server."""

UPSTREAMS: Mapping[str, Upstream] = {
    "anthropic": Upstream(
        AnthropicMessages,
        "https://api.anthropic.com",
        "ANTHROPIC_API_KEY",
        key_header="x-api-key",
        own_path="/v1",
    ),
    "cerebras": _chat(dialects.CEREBRAS, "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "cohere": _chat(dialects.COHERE, "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "deepinfra": _chat(
        dialects.GENERIC, "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"
    ),
    "deepseek": _chat(dialects.DEEPSEEK, "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks_ai": _chat(
        dialects.GENERIC, "https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"
    ),
    "gemini": Upstream(
        Gemini,
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
        key_header="x-goog-api-key",
        path="/v1beta",
    ),
    "groq": _chat(dialects.GROQ, "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "hosted_vllm": _chat(dialects.VLLM, key_variable="HOSTED_VLLM_API_KEY"),
    "huggingface": _chat(dialects.HUGGINGFACE, "https://router.huggingface.co/v1", "HF_TOKEN"),
    "lm_studio": _chat(dialects.LMSTUDIO, key_variable="LM_STUDIO_API_KEY"),
    "mistral": _chat(dialects.MISTRAL, "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "nvidia_nim": _chat(
        dialects.GENERIC, "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"
    ),
    "ollama": _chat(dialects.OLLAMA, "http://127.0.0.1:11434/v1", path="/v1"),
    "openrouter": _chat(dialects.OPENROUTER, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "perplexity": _chat(dialects.PERPLEXITY, "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "sambanova": _chat(dialects.GENERIC, "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "snowflake": _chat(dialects.SNOWFLAKE, key_variable="SNOWFLAKE_JWT"),
    "together_ai": _chat(dialects.TOGETHER, "https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "xai": _chat(dialects.XAI, "https://api.x.ai/v1", "XAI_API_KEY"),
    "zai": _chat(dialects.ZAI, "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
}
