"""docs/providers.md says what the adapters do, and how much of it was seen at the real services."""

from cases import needs_recordings, recorded
from provider_table import PAGE, PROBES, Row, fate, on_page, rows
from seen import PARTS, looked_at, seen

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
def test_what_was_seen_is_what_the_recordings_show() -> None:
    assert seen() == looked_at(recorded()), "run python tests/provider_table.py"


def test_rows_without_a_recording_are_those_that_nobody_recorded() -> None:
    """A key that is misspelt would look like a provider that was never seen."""
    spoken = {row.recorded for row in rows()}
    # Vendors without an entry of their own, and addresses that are not asked.
    others = {
        "anthropic_count", "cohere", "crusoe:chat", "gemini_openai_compat:chat",
        "gpustack_vllm:chat", "heroku:chat", "ollama", "ollama_cloud:chat", "openai",
        "openai_misc",
    }  # fmt: skip
    assert seen().keys() - spoken == others


def test_a_fixture_proves_nothing() -> None:
    """LM Studio's Responses are known by fixtures alone."""
    about = seen()["lmstudio_responses:responses"]
    assert (about.recorded, about.fixtures) == (0, 4)
    assert about.never == tuple(PARTS)
