"""What a request could not say, by name: kept for `dropped`, or refused at once.

Shared by the adapters whose requests are built piece by piece.
"""

from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Turn


class Omissions:
    """Called with the name of what is left out, and why (`LeaveOut`). `strict` refuses it."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._names: list[str] = []

    def __call__(self, name: str, why: str) -> None:
        if self._strict:
            raise UnsupportedByProvider(f"{name} cannot be sent: {why}", param=name)
        self.note(name)

    def note(self, name: str) -> None:
        """No answer depends on it: a strict turn goes on."""
        if name not in self._names:
            self._names.append(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names)


def responses_only(turn: Turn) -> tuple[list[str], list[str]]:
    """Parameters that only an upstream which speaks Responses has a word for: those that an answer
    may depend on, and mere hints."""
    said, reasoning = turn.passed_on, turn.passed_on.get("reasoning", {})
    hosted = any(tool.get("type") not in ("function", "custom") for tool in turn.offered_tools)
    wanted = {
        "max_tool_calls": hosted and "max_tool_calls" in said,
        "reasoning.context": reasoning.get("context", "auto") != "auto",
        "reasoning.mode": reasoning.get("mode", "standard") != "standard",
    }
    hints = ("prompt_cache_options", "prompt_cache_retention")
    return [name for name, is_said in wanted.items() if is_said], [n for n in hints if n in said]


def leave_out_responses_only(turn: Turn, api: str, leave_out: Omissions) -> None:
    names, hints = responses_only(turn)
    for name in names:
        leave_out(name, f"{api} has no such field")
    for name in hints:
        leave_out.note(name)
