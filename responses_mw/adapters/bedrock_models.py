"""What each model family accepts through Bedrock's Converse API, as one table.

Facts about Bedrock live here; what Claude itself accepts is asked of `anthropic_models.py`. How a
fact changes a request stands in `bedrock_encode.py` and `bedrock_content.py`. The first row whose
name a model has holds.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import orjson

from responses_mw.adapters import anthropic_models
from responses_mw.adapters.anthropic_models import ModelRules
from responses_mw.turn import Turn

_GEOGRAPHY = re.compile(r"^(?:us-gov|[a-z]{2,6})\.(?=[a-z0-9-]+\.)")
_FORCED = frozenset({"any", "tool"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRules:
    """`model`: thinking, sampling, structured output and forced calls, in the words of the Messages
    API.

    `reasoning`: how an effort is said. `unsigned_reasoning`: reasoning is wanted back although
    nothing signs it. `user_first`: the conversation must begin with the user. `system`: has
    system prompts. `beside_results`: what may stand in one message with tool results (None:
    anything). `result_media`: what a result may hold beside text. `json_results`: results are
    JSON objects. `choices`: which calls can be demanded. `parallel_switch`: can be told to make
    one call at a time. `cached`: where cache points may stand. `cache_after_text`: and in
    messages, behind text only. `long_cache`: knows the ttl of an hour. `hosted_tools`: tools
    that AWS runs, by the name the client uses.
    """

    model: ModelRules = field(default_factory=ModelRules)
    reasoning: Literal["none", "claude", "nova", "effort", "qwen"] = "none"
    unsigned_reasoning: bool = False
    user_first: bool = True
    system: bool = True
    beside_results: frozenset[str] | None = None
    result_media: frozenset[str] = frozenset()
    json_results: bool = False
    choices: frozenset[str] = _FORCED
    parallel_switch: bool = False
    cached: frozenset[str] = frozenset()
    cache_after_text: bool = False
    long_cache: bool = False
    hosted_tools: Mapping[str, str] = field(default_factory=dict)


_UNFORCED = ModelRules(forced_tools=False)
_SCHEMAS = ModelRules(schemas=True)

_NOVA = FamilyRules(
    result_media=frozenset({"image", "document", "video"}),
    cached=frozenset({"system", "messages"}),
    cache_after_text=True,
)
_NOVA_2 = replace(
    _NOVA,
    reasoning="nova",
    # Its tool loops were refused with cache points in their messages.
    cached=frozenset({"system"}),
    hosted_tools={"code_interpreter": "nova_code_interpreter", "web_search": "nova_grounding"},
)
_LLAMA = FamilyRules(model=_UNFORCED, beside_results=frozenset(), choices=frozenset())
_MISTRAL = FamilyRules(
    model=_SCHEMAS, beside_results=frozenset(), json_results=True, choices=frozenset({"any"})
)
_UNCHOOSING = FamilyRules(model=_UNFORCED, choices=frozenset())
_STRUCTURED = FamilyRules(model=_SCHEMAS)

UNKNOWN = FamilyRules()
"""Models of a name that says nothing (an own import, an inference profile): what most accept."""

_ROWS: Sequence[tuple[str, FamilyRules]] = (
    ("amazon.nova-2", _NOVA_2),
    ("amazon.nova", _NOVA),
    ("amazon.titan", replace(_UNCHOOSING, system=False)),
    ("meta.", _LLAMA),
    ("mistral.mistral-7b", replace(_LLAMA, system=False)),
    ("mistral.mixtral", replace(_LLAMA, system=False)),
    ("mistral.", _MISTRAL),
    ("openai.", replace(_STRUCTURED, reasoning="effort")),
    ("qwen.", replace(_STRUCTURED, reasoning="qwen", user_first=False)),
    ("deepseek.r1", replace(_UNCHOOSING, unsigned_reasoning=True)),
    ("deepseek.", _STRUCTURED),
    ("google.", _STRUCTURED),
    ("minimax.", _STRUCTURED),
    ("moonshot", _STRUCTURED),
    ("nvidia.", _STRUCTURED),
    ("cohere.", _UNCHOOSING),
    ("ai21.", _UNCHOOSING),
)


def plain_name(model: str) -> str:
    """Without ARN and geography: `us.amazon.nova-pro-v1:0` is `amazon.nova-pro-v1:0`."""
    return _GEOGRAPHY.sub("", model.rpartition("/")[2].lower())


def rules_for(model: str) -> FamilyRules:
    name = plain_name(model)
    if "claude" in name:
        return _claude(name)
    found = (rules for start, rules in _ROWS if name.startswith(start))
    return next(found, UNKNOWN)


def _claude(name: str) -> FamilyRules:
    known, version = anthropic_models.rules_for(name), _claude_version(name)
    # Structured output came to Bedrock with 4.5, later than to Anthropic's own API.
    known = replace(known, schemas=known.schemas and version >= (4, 5))
    return FamilyRules(
        model=known,
        reasoning="claude",
        user_first=False,
        beside_results=frozenset({"text", "image"}),
        result_media=frozenset({"image", "document"}),
        choices=_FORCED if known.forced_tools else frozenset(),
        parallel_switch=version >= (4, 5),
        cached=frozenset({"tools", "system", "messages"} if version >= (3, 7) else ()),
        long_cache=version >= (4, 5),
    )


def _claude_version(name: str) -> tuple[int, ...]:
    numbers = [part for part in anthropic_models.family(name).split("-") if part.isdigit()]
    return tuple(int(number) for number in numbers[-2:])


def scope_of(turn: Turn, model: str, rules: FamilyRules) -> str:
    """Where thinking is bound to what stood before it, other instructions or tools are another
    scope: such a turn is then rebuilt without its thinking, which would be refused."""
    name = plain_name(model)
    family = anthropic_models.family(name) if rules.reasoning == "claude" else name
    if not rules.model.bound_thinking:
        return f"bedrock:{family}"
    said = orjson.dumps([turn.instructions, list(turn.offered_tools), turn.text_format])
    return f"bedrock:{family}:{hashlib.sha256(said).hexdigest()[:16]}"
