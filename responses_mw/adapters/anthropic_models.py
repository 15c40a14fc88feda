"""What each Claude family accepts, as one table.

Facts about models live here and nowhere else; how a fact changes a request stands in
`anthropic_encode.py`. The last row whose version a model has reached holds, so a newer model of a
known tier gets the newest rules.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from responses_mw.turn import Turn

Tier = Literal["opus", "sonnet", "haiku", "fable", "mythos"]
Version = tuple[int, int]

_OPUS_AND_BELOW: tuple[Tier, ...] = ("opus", "sonnet", "haiku")
_ABOVE_OPUS: tuple[Tier, ...] = ("fable", "mythos")

_NAME = re.compile(
    r"claude-(?:(opus|sonnet|haiku|fable|mythos)-(\d{1,2})(?:[-.](\d{1,2}))?"
    r"|(\d{1,2})(?:[-.](\d{1,2}))?-(opus|sonnet|haiku))(?!\d)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """`max_tokens` is what to ask for when the client sets no limit.

    `thinking`: by a token budget, adaptive (with an effort), or not at all. `thinking_off`: what
    turns it off, None where nothing does. `efforts`: the levels of `output_config.effort`.
    `sampling`: temperature and top_p together, one of the two, or neither. `schemas`: structured
    output and strict tools. `forced_tools`: whether a call can be demanded. `bound_thinking`: a
    replayed thinking block is refused when anything before it changed. `prefill`: whether the
    conversation may end with the assistant. `caching`: takes `cache_control`. `server_tools`: the
    API runs tools of its own.
    """

    max_tokens: int = 4096
    thinking: Literal["none", "budget", "adaptive"] = "none"
    thinking_off: Literal["disabled", "between_tools"] | None = "disabled"
    efforts: Sequence[str] = ("low", "medium", "high", "max")
    sampling: Literal["both", "one", "none"] = "both"
    schemas: bool = False
    forced_tools: bool = True
    bound_thinking: bool = False
    prefill: bool = True
    caching: bool = True
    server_tools: bool = True


UNKNOWN = ModelRules(caching=False, server_tools=False)
"""Other models behind the same API (llama.cpp, vLLM): only what every server of it takes."""

_V3 = ModelRules()
_V3_5 = replace(_V3, max_tokens=8192)
_V4 = replace(_V3, max_tokens=32_000, thinking="budget")
_V4_1 = replace(_V4, sampling="one", schemas=True)
_V4_5 = replace(_V4_1, max_tokens=64_000)
_V4_6 = replace(_V4_5, thinking="adaptive", prefill=False)
_V4_7 = replace(_V4_6, efforts=("low", "medium", "high", "xhigh", "max"), sampling="none")
_FABLE_5 = replace(_V4_7, thinking_off=None, forced_tools=False)
_BOUND_5 = replace(_FABLE_5, bound_thinking=True)
_SONNET_5_5 = replace(_BOUND_5, thinking_off="between_tools")
_HAIKU_5_5 = replace(_V4_7, bound_thinking=True)

_ROWS: Sequence[tuple[Sequence[Tier], Version, ModelRules]] = (
    (_OPUS_AND_BELOW, (3, 0), _V3),
    (_OPUS_AND_BELOW, (3, 5), _V3_5),
    (_OPUS_AND_BELOW, (3, 7), _V4),
    (_OPUS_AND_BELOW, (4, 1), _V4_1),
    (_OPUS_AND_BELOW, (4, 5), _V4_5),
    (_OPUS_AND_BELOW, (4, 6), _V4_6),
    (_OPUS_AND_BELOW, (4, 7), _V4_7),
    (("opus",), (5, 5), _BOUND_5),
    (("sonnet",), (5, 5), _SONNET_5_5),
    (("haiku",), (5, 5), _HAIKU_5_5),
    (_ABOVE_OPUS, (0, 0), _FABLE_5),
    (("fable",), (5, 1), _BOUND_5),
)


def family(model: str) -> str:
    """Signatures hold within it: tier and version, whatever the date, region, platform or spelling.

    `us.anthropic.claude-sonnet-4-5-20250929-v1:0` and `claude-sonnet-4-5@20250929` are
    `claude-sonnet-4-5`. A name without a tier and version is its own family.
    """
    parsed = _parse(model)
    if parsed is None:
        return model
    tier, (major, minor) = parsed
    return f"claude-{tier}-{major}-{minor}"


def rules_for(model: str) -> ModelRules:
    if model.lower().endswith("claude-mythos-preview"):
        return _FABLE_5
    parsed = _parse(model)
    if parsed is None:
        return UNKNOWN
    tier, version = parsed
    reached = [rules for tiers, since, rules in _ROWS if tier in tiers and since <= version]
    return reached[-1] if reached else UNKNOWN


def scope_of(turn: Turn) -> str:
    return f"anthropic:{family(turn.model)}"


def _parse(model: str) -> tuple[str, Version] | None:
    found = _NAME.search(model)
    if found is None:
        return None
    tier = found[1] or found[6]
    major, minor = (found[2], found[3]) if found[1] else (found[4], found[5])
    return tier.lower(), (int(major), int(minor or 0))
