"""docs/providers.md says what the adapters do, and how much of it was seen at the real services."""

import re
from collections import Counter

from cases import Recording, needs_recordings, recorded
from provider_table import PAGE, PROBES, RECORDED, Row, fate, on_page, rows

from responses_mw.config import CLOUDS
from responses_mw.upstreams import UPSTREAMS


def row(provider: str, note: str = "") -> Row:
    return next(r for r in rows() if (r.provider, r.note) == (provider, note))


def test_the_table_on_the_page_is_the_one_that_the_adapters_make() -> None:
    page = PAGE.read_text()
    assert on_page(page) == page, "run python tests/provider_table.py"


def test_every_provider_of_a_configuration_is_in_the_table() -> None:
    named = {row.provider.partition("/")[0] for row in rows()}
    assert named == {"openai", *CLOUDS, *UPSTREAMS}


def test_each_fate_is_told_from_the_others() -> None:
    """One known case of each; otherwise a table of nothing but `mapped` would look fine."""
    assert fate(row("openai"), "web search") == "passed through"
    assert fate(row("openai"), "JSON Schema") == "mapped"
    assert fate(row("deepseek"), "JSON Schema") == "emulated"
    assert fate(row("anthropic"), "penalties") == "left out"
    assert fate(row("groq"), "file search") == "refused"
    assert {fate(r, name) for r in rows() for name in ("instructions", "functions")} == {"mapped"}
    assert len(PROBES) > 30


@needs_recordings
def test_as_many_exchanges_were_recorded_as_the_table_says() -> None:
    found = Counter(_folder(recording) for recording in recorded())
    assert {key: found[key] for key in RECORDED} == RECORDED
    assert {row.recorded for row in rows()} >= RECORDED.keys()


def _folder(recording: Recording) -> str:
    """With what is spoken there, where it is more than one thing."""
    if recording.provider == "bedrock":
        return "bedrock:claude" if "claude" in recording.url else "bedrock:others"
    if "chat/completions" in recording.url:
        return f"{recording.provider}:chat"
    path = recording.url.partition("?")[0]
    if path.endswith("/responses"):
        return f"{recording.provider}:responses"
    if path:
        return recording.provider
    if b'"choices"' in recording.body:
        return f"{recording.provider}:chat"
    responses = re.search(rb'response\.created|"object":\s*"response"', recording.body[:3000])
    return recording.provider + (":responses" if responses else "")
