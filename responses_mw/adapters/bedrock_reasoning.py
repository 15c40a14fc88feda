"""How each family is told to reason: an effort in, fields for the model out.

Bedrock has no field of its own for it; each family takes its own through
`additionalModelRequestFields`.
"""

from dataclasses import dataclass, field
from typing import Any, assert_never

from responses_mw.adapters.anthropic_models import ModelRules
from responses_mw.adapters.anthropic_options import leave_thinking_out, thinking
from responses_mw.adapters.bedrock_models import FamilyRules
from responses_mw.adapters.pieces import LeaveOut
from responses_mw.turn import Turn

Fields = dict[str, Any]

_THREE = {"minimal": "low", "low": "low", "medium": "medium", "xhigh": "high", "max": "high"}
_QWEN = {"minimal": "low", "low": "low", "medium": "low"}


@dataclass(frozen=True, slots=True)
class Reasoning:
    """`thinks`: sampling is restricted by it. `unlimited`: no limit of tokens may be set beside it.
    `max_tokens`: what has to be asked for, as a budget is part of it."""

    fields: Fields = field(default_factory=dict)
    thinks: bool = False
    unlimited: bool = False
    max_tokens: int | None = None


def reasoning(
    turn: Turn, rules: FamilyRules, obstacle: str | None, max_tokens: int, leave_out: LeaveOut
) -> Reasoning:
    """`obstacle` says why a Claude with a budget cannot think this time, if it cannot."""
    effort = turn.reasoning_effort
    match rules.reasoning:
        case "claude":
            return _claude(turn, rules.model, obstacle, max_tokens, leave_out)
        case "nova":
            _check_summary(turn, leave_out)
            return _nova(effort)
        case "effort":
            return _only_effort(turn, leave_out)
        case "qwen":
            _check_summary(turn, leave_out)
            return _qwen(effort)
        case "none":
            leave_thinking_out(turn, f"{turn.model!r} cannot be told how to reason", leave_out)
            return Reasoning()
        case other:
            assert_never(other)


def _check_summary(turn: Turn, leave_out: LeaveOut) -> None:
    if turn.reasoning_effort is None and turn.reasoning_summary is not None:
        leave_out("reasoning.summary", f"{turn.model!r} reasons only with an effort")


def _nova(effort: str | None) -> Reasoning:
    if effort is None:
        return Reasoning()
    if effort == "none":
        return Reasoning({"reasoningConfig": {"type": "disabled"}})
    level = _THREE.get(effort, "high")
    config = {"type": "enabled", "maxReasoningEffort": level}
    high = level == "high"  # beside it, Nova refuses sampling and any limit of tokens
    return Reasoning({"reasoningConfig": config}, thinks=high, unlimited=high)


def _qwen(effort: str | None) -> Reasoning:
    if effort in (None, "none"):
        return Reasoning()  # off is the default
    return Reasoning({"reasoning_config": _QWEN.get(str(effort), "high")})


def _only_effort(turn: Turn, leave_out: LeaveOut) -> Reasoning:
    if turn.reasoning_effort is None:
        return Reasoning()
    if turn.reasoning_effort == "none":
        leave_out("reasoning.effort", f"{turn.model!r} always reasons")
        return Reasoning({"reasoning_effort": "low"})
    return Reasoning({"reasoning_effort": _THREE.get(turn.reasoning_effort, "high")})


def _claude(
    turn: Turn, rules: ModelRules, obstacle: str | None, max_tokens: int, leave_out: LeaveOut
) -> Reasoning:
    thoughts = thinking(turn, rules, obstacle, max_tokens, leave_out)
    fields: Fields = {} if thoughts.field is None else {"thinking": thoughts.field}
    if thoughts.effort is not None:
        fields["output_config"] = {"effort": thoughts.effort}
    budgeted = thoughts.field is not None and thoughts.field["type"] == "enabled"
    return Reasoning(fields, thinks=thoughts.is_on, max_tokens=max_tokens if budgeted else None)
