"""A progress bar in plain characters: one moving line in a terminal, a line per tenth elsewhere."""

import sys
from typing import TextIO

_WIDTH = 30


class Bar:
    """Called with (done, total) bytes. `close` ends its line."""

    def __init__(self, label: str, *, file: TextIO | None = None) -> None:
        self._label = label
        self._file = file or sys.stderr
        self._terminal = self._file.isatty()
        self._shown = -1
        self._open = False

    def __call__(self, done: int, total: int) -> None:
        step = done * 100 // total
        if not self._terminal:
            step -= step % 10
        if step == self._shown:
            return
        self._shown = step
        self._write(self._line(done, total))

    def close(self) -> None:
        if self._open:
            print(file=self._file, flush=True)
            self._open = False

    def _line(self, done: int, total: int) -> str:
        filled = _WIDTH * done // total
        bar = "#" * filled + "." * (_WIDTH - filled)
        return f"{self._label} [{bar}] {done * 100 // total:3d}% of {total / 1e6:.1f} MB"

    def _write(self, line: str) -> None:
        if self._terminal:
            print(f"\r{line}", end="", file=self._file, flush=True)
            self._open = True
        else:
            print(line, file=self._file, flush=True)
