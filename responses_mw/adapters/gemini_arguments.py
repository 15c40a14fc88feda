"""A function call whose arguments come in pieces, each with the path of the value it belongs to.

Vertex AI sends them so where `streamFunctionCallArguments` was asked for; JSON Paths are known here
and nowhere else.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class GrowingCall:
    """`part` is the call as the API would have sent it at once."""

    def __init__(self, part: Mapping[str, Any]) -> None:
        call = part["functionCall"]
        whole = {key: call[key] for key in ("id", "name") if key in call}
        self.args: Json = call.get("args") or {}
        if not isinstance(self.args, dict):
            raise TypeError(f"the arguments of a call are {type(self.args).__name__}, not named")
        self.part: Json = {**part, "functionCall": {**whole, "args": self.args}}
        self.grow(part)

    def grow(self, part: Mapping[str, Any]) -> None:
        """Raises ValueError or TypeError for a path that leads nowhere."""
        if "thoughtSignature" in part:
            self.part["thoughtSignature"] = part["thoughtSignature"]
        for piece in part["functionCall"].get("partialArgs") or ():
            _put(self.args, list(_steps(piece["jsonPath"])), _value(piece))


def _steps(path: str) -> Iterable[str | int]:
    place = 1 if path.startswith("$") else 0
    while place < len(path):
        found = _STEP.match(path, place)
        if found is None:
            raise ValueError(f"{path!r} is not a JSON Path to one value")
        name, index, quoted, double = found.groups()
        if index is not None:
            yield int(index)
        elif name is not None:
            yield name
        else:
            yield re.sub(r"\\(.)", r"\1", quoted if quoted is not None else double)
        place = found.end()


def _value(piece: Mapping[str, Any]) -> Any:
    """None for null, and for a piece that only says that its value is at its end."""
    for key in _VALUES:
        if key in piece:
            value = piece[key]
            if key == "numberValue" and isinstance(value, float) and value.is_integer():
                return int(value)
            return None if key == "nullValue" else value
    return ""


def _put(target: Any, steps: list[str | int], value: Any) -> None:
    """Text is added to the text that is there; anything else takes the place."""
    if not steps:
        raise ValueError("a JSON Path leads to the arguments themselves")
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        old = _get(target, step)
        if following is None:
            new = old + value if isinstance(old, str) and isinstance(value, str) else value
        elif old is None:
            new = [] if isinstance(following, int) else {}
        else:
            new = old
        if isinstance(step, int) and step == len(target):
            target.append(new)
        else:
            target[step] = new
        target = new


def _get(target: Any, step: str | int) -> Any:
    if isinstance(step, int):
        if not isinstance(target, list) or step > len(target):
            raise ValueError(f"a JSON Path leads to place {step} of something shorter")
        return target[step] if step < len(target) else None
    if not isinstance(target, dict):
        raise TypeError(f"a JSON Path leads to {step!r} of something that has no names")
    return target.get(step)
