"""What a run of these tests tried, summed in one line at its end."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tally import Tried

_MARK = "tried "


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Tried:
    def note(what: str, count: int) -> None:
        record_property(_MARK + what, count)

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts: Counter[str] = Counter()
    # Passed teardowns have no category of their own; what their tests noted is all there by then.
    for report in terminalreporter.getreports(""):
        for name, count in report.user_properties if report.when == "teardown" else ():
            if name.startswith(_MARK):
                counts[name.removeprefix(_MARK)] += count
    if counts:
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
        terminalreporter.write_line(f"TRIED: {told}")
