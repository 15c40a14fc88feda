"""The command `responses-mw` as a user runs it: a process of its own, ended by its own id."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

COMMAND = [sys.executable, "-m", "responses_mw.cli"]
PATIENCE_S = 30


@dataclass(frozen=True)
class Server:
    """`said` is what it announced, by label; `url` ends in `/v1`, `root` does not."""

    process: "subprocess.Popen[str]"
    said: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.said["url"]

    @property
    def root(self) -> str:
        return self.url.removesuffix("/v1")

    def ask_to_end(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of the user's own: not their data, not their keys."""
    kept = {name: value for name, value in os.environ.items() if "RESPONSES_MW_" not in name}
    return {**kept, "XDG_DATA_HOME": str(folder), **more}


@contextlib.contextmanager
def serving(
    *options: str, folder: Path, stderr: IO[str] | None = None, **variables: str
) -> Iterator[Server]:
    """A server in `folder`, on a free port, once it has announced itself."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *options],
        cwd=folder,
        env=environment(folder, **variables),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            said: dict[str, str] = {}
            for line in process.stdout:
                label, _, value = line.strip().partition(" ")
                said[label] = value.strip()
                if label == "url":
                    break
            assert "url" in said, f"it ended with {process.wait()} instead of serving"
            yield Server(process, said)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def config(folder: Path, **models: str) -> str:
    """The path of a file that names these models, each `python/...` or another provider's."""
    file = folder / "config.yaml"
    entries = [
        f"  - model_name: {name}\n    litellm_params: {{model: '{model}'}}\n"
        for name, model in models.items()
    ]
    file.write_text("model_list:\n" + "".join(entries))
    return str(file)
