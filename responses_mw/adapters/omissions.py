"""What a request could not say, by name: kept for `dropped`, or refused at once.

Shared by the adapters whose requests are built piece by piece.
"""

from responses_mw.errors import UnsupportedByProvider


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
