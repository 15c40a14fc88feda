"""What each Gemini family accepts, as one table.

Facts about models live here and nowhere else; how a fact changes a request stands in
`gemini_encode.py`. The last row whose version a model has reached holds, so a newer model of a
known tier gets the newest rules.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Tier = Literal["pro", "flash", "flash-lite"]
Version = tuple[int, int]

_NEWEST: Version = (99, 0)
_NAME = re.compile(
    r"gemini-(?:(\d{1,2})(?:\.(\d{1,2}))?-(pro|flash-lite|flash)|(pro|flash-lite|flash)-latest)"
    r"(-image)?(?![a-z0-9])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """`efforts` maps a reasoning effort to a thinking level (text) or a budget of tokens (number);
    it is empty for models that do not think, and lacks `none` for those that cannot stop.

    `call_signatures`: refuses a call without a thought signature. `media_results`: takes images and
    documents inside the result of a call. `mixed_tools`: takes functions beside hosted tools.
    `schema_with_tools`: answers by a schema although it has functions.
    """

    efforts: Mapping[str, str | int] = field(default_factory=dict)
    call_signatures: bool = False
    media_results: bool = False
    mixed_tools: bool = False
    schema_with_tools: bool = False


UNKNOWN = ModelRules()
"""Models before 2.5, image models, tuned and other vendors' models: only what all of them take."""

_PRO_2_5 = ModelRules(
    efforts={"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 32_768}
)
_FLASH_2_5 = ModelRules(
    efforts={
        "none": 0,
        "minimal": 1024,
        "low": 1024,
        "medium": 8192,
        "high": 24_576,
        "xhigh": 24_576,
    }
)
_PRO_3 = ModelRules(
    efforts={"minimal": "low", "low": "low", "medium": "high", "high": "high", "xhigh": "high"},
    call_signatures=True,
    media_results=True,
    mixed_tools=True,
    schema_with_tools=True,
)
_PRO_3_1 = ModelRules(
    efforts={"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"},
    call_signatures=True,
    media_results=True,
    mixed_tools=True,
    schema_with_tools=True,
)
_FLASH_3 = ModelRules(
    efforts={
        "minimal": "minimal",
        "low": "low",
        "medium": "medium",
        "high": "high",
        "xhigh": "high",
    },
    call_signatures=True,
    media_results=True,
    mixed_tools=True,
    schema_with_tools=True,
)
_IMAGE_3 = ModelRules(call_signatures=True, media_results=True)

_FLASHES: tuple[Tier, ...] = ("flash", "flash-lite")
_ROWS: Sequence[tuple[Sequence[Tier], Version, ModelRules]] = (
    (("pro",), (2, 5), _PRO_2_5),
    (_FLASHES, (2, 5), _FLASH_2_5),
    (("pro",), (3, 0), _PRO_3),
    (("pro",), (3, 1), _PRO_3_1),
    (_FLASHES, (3, 0), _FLASH_3),
)


def rules_for(model: str) -> ModelRules:
    found = _NAME.search(model.lower())
    if found is None:
        return UNKNOWN
    version = _NEWEST if found[4] else (int(found[1]), int(found[2] or 0))
    tier = found[4] or found[3]
    if found[5]:
        return _IMAGE_3 if version >= (3, 0) else UNKNOWN
    reached = [rules for tiers, since, rules in _ROWS if tier in tiers and since <= version]
    return reached[-1] if reached else UNKNOWN
