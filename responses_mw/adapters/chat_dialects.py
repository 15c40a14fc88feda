"""What differs between the vendors of the chat completions format, as data.

A difference gets a field here; the code asks for the field and never for the vendor. A new vendor
is one constant and one recording.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

Effort = Literal["reasoning_effort", "reasoning.effort", "thinking", "thinking+effort"]
"""Where `reasoning.effort` goes; `thinking` is {"type": "enabled" | "disabled"}."""


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """The defaults are what most servers understand; None or False means: not there."""

    name: str

    # --- messages
    system_role: str = "system"
    """The role of `instructions` and of system messages."""
    developer_role: str = "system"
    system_anywhere: bool = True
    """Else those that begin the conversation become one, and later ones become the user's."""
    user_after_tool: bool = True
    """Else an assistant message has to stand between a tool's output and the user's next words."""
    alternating: bool = False
    """Two messages of one role may not follow each other: their texts are joined."""
    text_parts: bool = True
    """Several texts may be sent as a list of parts; else they are joined by line ends."""
    empty_content: str | None = ""
    """The content of an assistant message that only calls tools."""
    refusal_field: bool = False
    """A refusal goes back in a field of its own; else it is what the assistant said."""
    file_parts: Literal["file", "document_url"] | None = None
    file_urls: bool = False
    nine_character_ids: bool = False
    """Call ids must be nine letters or digits: others are mapped, always in the same way."""

    # --- parameters; what is missing is named in `dropped`
    max_tokens_field: str = "max_tokens"
    effort: (
        Literal["reasoning_effort", "reasoning.effort", "thinking", "thinking+effort"] | None
    ) = "reasoning_effort"
    efforts: Mapping[str, str] = field(default_factory=dict)
    """Levels that the vendor has no word for, and the nearest that it has."""
    verbosity: bool = False
    penalties: bool = True
    logprobs: bool = True
    json_schema: bool = True
    """Else JSON mode, and the schema is told to the model in words."""
    json_object: bool = True
    """Else JSON mode is a schema that any object fits."""
    strict_tools: bool = True
    tool_choice: bool = True
    named_choice: bool = True
    """Else a function that is demanded by name is the only one offered."""
    required_choice: str = "required"
    parallel_tool_calls: Literal["when false", "always"] | None = "when false"
    """`always` where the upstream's own default is false."""
    service_tiers: bool = False
    service_tier_names: Mapping[str, str] = field(default_factory=dict)
    """Tiers of the Responses API under another name."""
    user_field: str | None = None
    prompt_cache_key: bool = False
    include_usage: bool = True
    """A stream reports usage only if `stream_options` ask for it."""

    # --- reasoning
    reasoning_fields: tuple[str, ...] = ("reasoning_content", "reasoning")
    """Where answers carry reasoning; the first that is not empty is read."""
    shows_reasoning: bool = True
    """Else a summary of it cannot be asked for."""
    raw_reasoning: bool = True
    """It is the chain of thought itself, not a summary of one."""
    reasoning_replay: str | None = None
    """The field of a message that takes its reasoning back; `content`: as thinking parts."""
    empty_reasoning: bool = False
    """A message that calls tools needs the field even if nothing is known to put into it."""
    think_tags: bool = False
    """Reasoning may stand in the text, between <think> and </think>."""

    # --- answers
    citation_markers: bool = False
    """Sources are listed beside the text, which refers to them as [1], [2]."""
    uncounted_thinking: bool = False
    """`completion_tokens` leave out the reasoning, which only `total_tokens` counts."""
    tool_call_extras: tuple[str, ...] = ("extra_content",)
    """Fields of a tool call that must come back with it."""
    message_extras: tuple[str, ...] = ("reasoning_details", "extra_content")
    """Fields of an assistant message that must come back with it: signatures, mostly."""


OPENAI = ChatDialect(
    name="openai",
    developer_role="developer",
    empty_content=None,
    refusal_field=True,
    file_parts="file",
    max_tokens_field="max_completion_tokens",
    verbosity=True,
    service_tiers=True,
    user_field="safety_identifier",
    prompt_cache_key=True,
    shows_reasoning=False,
)
AZURE = replace(OPENAI, name="azure", user_field="user")
GROQ = ChatDialect(
    name="groq",
    max_tokens_field="max_completion_tokens",
    logprobs=False,
    service_tiers=True,
    service_tier_names={"default": "on_demand"},
    user_field="user",
    include_usage=False,
    reasoning_replay="reasoning",
    think_tags=True,
)
MISTRAL = ChatDialect(
    name="mistral",
    system_anywhere=False,
    user_after_tool=False,
    file_parts="document_url",
    file_urls=True,
    nine_character_ids=True,
    logprobs=False,
    required_choice="any",
    include_usage=False,
    reasoning_replay="content",
)
DEEPSEEK = ChatDialect(
    name="deepseek",
    text_parts=False,
    effort="thinking+effort",
    json_schema=False,
    strict_tools=False,
    parallel_tool_calls=None,
    reasoning_replay="reasoning_content",
    empty_reasoning=True,
)
OPENROUTER = ChatDialect(
    name="openrouter",
    developer_role="developer",
    empty_content=None,
    file_parts="file",
    file_urls=True,
    max_tokens_field="max_completion_tokens",
    effort="reasoning.effort",
    verbosity=True,
    service_tiers=True,
    user_field="user",
    prompt_cache_key=True,
    raw_reasoning=False,
)
XAI = ChatDialect(
    name="xai",
    max_tokens_field="max_completion_tokens",
    efforts={"minimal": "low", "max": "xhigh"},
    user_field="user",
)
TOGETHER = ChatDialect(name="together", logprobs=False, think_tags=True)
CEREBRAS = ChatDialect(
    name="cerebras",
    text_parts=False,
    max_tokens_field="max_completion_tokens",
    penalties=False,
    user_field="user",
    reasoning_replay="reasoning",
)
PERPLEXITY = ChatDialect(
    name="perplexity",
    system_anywhere=False,
    alternating=True,
    logprobs=False,
    strict_tools=False,
    parallel_tool_calls=None,
    include_usage=False,
    think_tags=True,
    citation_markers=True,
)
ZAI = ChatDialect(
    name="zai",
    effort="thinking",
    penalties=False,
    logprobs=False,
    json_schema=False,
    strict_tools=False,
    parallel_tool_calls=None,
    include_usage=False,
    reasoning_replay="reasoning_content",
)
HUGGINGFACE = ChatDialect(name="huggingface", think_tags=True)
COHERE = ChatDialect(
    name="cohere",
    developer_role="developer",
    efforts=dict.fromkeys(("minimal", "low", "medium", "xhigh", "max"), "high"),
    logprobs=False,
    parallel_tool_calls=None,
)
SNOWFLAKE = ChatDialect(
    name="snowflake",
    max_tokens_field="max_completion_tokens",
    effort="reasoning.effort",
    raw_reasoning=False,
)
GEMINI = ChatDialect(name="gemini", raw_reasoning=False, uncounted_thinking=True)
OLLAMA = ChatDialect(
    name="ollama",
    efforts={"minimal": "low", "xhigh": "high"},
    tool_choice=False,
    strict_tools=False,
    parallel_tool_calls=None,
    reasoning_replay="reasoning",
)
VLLM = ChatDialect(name="vllm", reasoning_replay="reasoning")
GPUSTACK = ChatDialect(name="gpustack", reasoning_replay="reasoning_content")
LLAMACPP = ChatDialect(
    name="llamacpp",
    effort=None,
    parallel_tool_calls="always",
    reasoning_replay="reasoning_content",
)
LMSTUDIO = ChatDialect(
    name="lmstudio",
    efforts={"minimal": "low", "xhigh": "high", "max": "high"},
    json_object=False,
    named_choice=False,
    parallel_tool_calls=None,
    think_tags=True,
)
GENERIC = ChatDialect(name="chat_completions")
"""Any other server that says it speaks this format."""

DIALECTS: Mapping[str, ChatDialect] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (
            OPENAI, AZURE, GROQ, MISTRAL, DEEPSEEK, OPENROUTER, XAI, TOGETHER, CEREBRAS, PERPLEXITY,
            ZAI, HUGGINGFACE, COHERE, SNOWFLAKE, GEMINI, OLLAMA, VLLM, GPUSTACK, LLAMACPP, LMSTUDIO,
            GENERIC,
        )
    }
)  # fmt: skip
"""By name, for configuration files."""
