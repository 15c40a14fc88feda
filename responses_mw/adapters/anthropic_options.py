"""What effort and sampling become under the rules of a model, wherever that model is served.

Asked for by the Messages API and by Bedrock's own: the words (`thinking`, `output_config`) are
Claude's on both; the rules stand in `anthropic_models.py`.
"""

import re
from dataclasses import dataclass
from typing import Any, assert_never

from responses_mw.adapters.anthropic_models import ModelRules
from responses_mw.adapters.pieces import LeaveOut
from responses_mw.turn import Turn

Block = dict[str, Any]

_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 10_000, "high": 16_384, "xhigh": 32_768}
_LEAST_BUDGET = 1024

REFUSED_THINKING = re.compile(
    r"signature.{0,40}thinking|thinking.{0,80}(signature|cannot be modified|conversation)",
    re.IGNORECASE | re.DOTALL,
)
"""How Claude's API says that it does not take its own thinking back."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """`field`: what `thinking` says, if anything. `effort`: the level of `output_config.effort`."""

    field: Block | None = None
    effort: str | None = None

    @property
    def is_on(self) -> bool:
        return self.field is not None and self.field["type"] in ("adaptive", "enabled")


def thinking(
    turn: Turn, rules: ModelRules, obstacle: str | None, max_tokens: int, leave_out: LeaveOut
) -> Thinking:
    """`obstacle` says why a model with a budget cannot think this time, if it cannot."""
    match rules.thinking:
        case "none":
            leave_thinking_out(turn, f"{turn.model!r} does not think", leave_out)
            return Thinking()
        case "budget":
            return _budget(turn, obstacle, max_tokens, leave_out)
        case "adaptive":
            return _adaptive(turn, rules, leave_out)
        case other:
            assert_never(other)


def leave_thinking_out(turn: Turn, why: str, leave_out: LeaveOut) -> None:
    if turn.reasoning_effort not in (None, "none"):
        leave_out("reasoning.effort", why)
    if turn.reasoning_summary is not None:
        leave_out("reasoning.summary", why)


def thinking_obstacle(*, forced: bool, loop_lacks_thinking: bool) -> str | None:
    if forced:
        return "a forced tool call and thinking exclude each other"
    if loop_lacks_thinking:
        return "the tool calls being answered were made without thinking"
    return None


def _budget(turn: Turn, obstacle: str | None, max_tokens: int, leave_out: LeaveOut) -> Thinking:
    effort = turn.reasoning_effort
    if effort is None and turn.reasoning_summary is not None:
        leave_out("reasoning.summary", f"{turn.model!r} thinks only with an effort")
    if effort in (None, "none"):
        return Thinking()  # off is the default
    if obstacle is None and max_tokens <= _LEAST_BUDGET:
        obstacle = f"max_output_tokens leaves no room; thinking takes {_LEAST_BUDGET} or more"
    if obstacle is not None:
        leave_out("reasoning.effort", obstacle)
        return Thinking()
    wanted = _BUDGETS.get(str(effort), _BUDGETS["xhigh"])
    # Half of a small limit stays for the answer.
    budget = max(_LEAST_BUDGET, min(wanted, max_tokens // 2))
    return Thinking({"type": "enabled", "budget_tokens": budget})


def _adaptive(turn: Turn, rules: ModelRules, leave_out: LeaveOut) -> Thinking:
    effort = turn.reasoning_effort
    if effort is None and turn.reasoning_summary is None:
        return Thinking()
    if effort == "none":
        if rules.thinking_off is not None:
            return Thinking({"type": rules.thinking_off})
        leave_out("reasoning.effort", f"{turn.model!r} always thinks")
        effort = "low"
    level = effort
    if effort is not None and effort not in rules.efforts:
        level = {"minimal": "low", "xhigh": "max"}.get(effort, "high")
    return Thinking({"type": "adaptive", "display": "summarized"}, level)


def sampling(
    turn: Turn, rules: ModelRules, *, thinks: bool, leave_out: LeaveOut
) -> dict[str, float | None]:
    """`temperature` and `top_p` as far as the model takes them."""
    temperature, top_p = turn.temperature, turn.top_p
    if rules.sampling == "none" or thinks:
        why = "it thinks" if rules.sampling != "none" else "it takes no sampling"
        for name, value in (("temperature", temperature), ("top_p", top_p)):
            # 1 is the default of both: leaving it out changes nothing.
            if value not in (None, 1):
                leave_out(name, why)
        return {"temperature": None, "top_p": None}
    if temperature is not None and temperature > 1:
        leave_out("temperature", f"{temperature} is more than 1, the most it takes")
        temperature = None
    if temperature is not None and top_p is not None and rules.sampling == "one":
        if top_p != 1:
            leave_out("top_p", "it takes temperature or top_p, not both")
        top_p = None
    return {"temperature": temperature, "top_p": top_p}


def leave_out_the_rest(turn: Turn, api: str, leave_out: LeaveOut) -> None:
    """What neither API has a field for, for any model."""
    why = f"{api} has no such field"
    if turn.presence_penalty:
        leave_out("presence_penalty", why)
    if turn.frequency_penalty:
        leave_out("frequency_penalty", why)
    if turn.logprobs or turn.top_logprobs:
        leave_out("top_logprobs", why)
    if turn.verbosity not in (None, "medium"):
        leave_out("text.verbosity", why)
