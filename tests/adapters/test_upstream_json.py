"""JSON whose strings were cut in the middle of a character."""

import pytest

from responses_mw.adapters.upstream_json import read_json, total, whole_characters, without_half
from responses_mw.errors import UpstreamProtocolError


def test_halves_of_characters_survive_reading_and_are_made_whole() -> None:
    value = read_json(rb'{"a": ["\ud83d\ude00", "\ud83d"], "b": 1}', provider="p")
    assert whole_characters(value) == {"a": ["\N{GRINNING FACE}", "\ufffd"], "b": 1}
    assert whole_characters("\ud83d" + "\ude00") == "\N{GRINNING FACE}"


def test_half_at_the_end_waits() -> None:
    assert without_half("a\ud83d") == ("a", "\ud83d")
    assert without_half("a\ude00") == ("a\ufffd", "")
    assert without_half("") == ("", "")


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_the_upstream_s_mistake(raw: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="p sent something that is not JSON"):
        read_json(raw, provider="p")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((1, None, 2), 3), ((), 0), ((1, "2"), -1), ((True,), -1), ((1.0,), -1), ((2**63,), -1)],
)
def test_what_cannot_be_counted_is_not(counts: tuple[object, ...], expected: int) -> None:
    assert total(*counts) == expected
