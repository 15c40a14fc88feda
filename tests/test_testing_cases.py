"""The recordings are all there, and are cut where their frames end."""

import json
from pathlib import Path

import pytest
from cases import (
    SHARED,
    Recording,
    needs_recordings,
    one_stream_per_vendor_and_feature,
    recorded,
    shared_folder,
    truncations,
)


def recording(body: bytes, kind: str, folder: Path) -> Recording:
    path = folder / f"case.response.{kind}"
    path.write_bytes(body)
    return Recording("test/case", "test", kind, 200, frozenset(), {}, path)


@needs_recordings
def test_every_recording_of_the_manifest_is_found() -> None:
    assert SHARED is not None
    manifest = json.loads((SHARED / "recordings" / "MANIFEST.json").read_bytes())
    for provider, listed in manifest.items():
        assert len(recorded(provider)) == listed["n"], provider


@needs_recordings
def test_one_stream_stands_for_each_feature_of_a_vendor() -> None:
    chosen = one_stream_per_vendor_and_feature(recorded("anthropic", "mistral"))
    shown = {(one.provider, feature) for one in chosen for feature in one.features}
    good = [one for one in recorded("anthropic", "mistral") if one.streamed and one.status == 200]
    assert shown == {(one.provider, feature) for one in good for feature in one.features}
    assert len(chosen) < len(good)


@needs_recordings
def test_requests_are_read_and_fixtures_have_none() -> None:
    found = recorded("anthropic")
    with_request = [one for one in found if one.request is not None]
    assert all("messages" in one.request for one in with_request)
    assert all(one.id.startswith("anthropic/fx-") for one in found if one.request is None)


@needs_recordings
def test_event_stream_messages_are_cut_whole() -> None:
    bedrock = recorded("bedrock", kind="eventstream")
    assert all(one.frame_ends[-1] == len(one.body) for one in bedrock)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_events_end_at_a_blank_line(newline: bytes, tmp_path: Path) -> None:
    lines = [b"event: a", b"data: 1", b"", b"data: 2", b"", b""]
    body = newline.join(lines)
    one = recording(body, "sse", tmp_path)
    ends = [body[:end] for end in one.frame_ends]
    assert ends == [newline.join([*lines[:3], b""]), body]
    assert list(truncations(one)) == [b"", ends[0]]


def test_a_tail_without_its_end_is_no_frame_but_is_cut_off(tmp_path: Path) -> None:
    one = recording(b"data: 1\n\ndata: 2", "sse", tmp_path)
    assert list(truncations(one)) == [b"", b"data: 1\n\n"]


def test_lines_are_frames_of_ndjson(tmp_path: Path) -> None:
    one = recording(b"1\n2\n3\n", "ndjson", tmp_path)
    assert list(truncations(one)) == [b"", b"1\n", b"1\n2\n"]


def test_spread_cuts_reach_from_the_first_to_the_last(tmp_path: Path) -> None:
    one = recording(b"".join(b"%d\n" % n for n in range(100)), "ndjson", tmp_path)
    cuts = list(truncations(one, at_most=20))
    assert len(cuts) == 20
    assert cuts[0] == b""
    assert cuts[-1].endswith(b"\n98\n")


def test_a_named_folder_that_is_missing_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RESPONSES_MW_SHARED", str(tmp_path / "nowhere"))
    with pytest.raises(pytest.UsageError, match="nowhere"):
        shared_folder()


def test_an_unnamed_folder_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RESPONSES_MW_SHARED", raising=False)
    monkeypatch.setattr("cases.REPOSITORY", tmp_path / "repository")
    assert shared_folder() is None
