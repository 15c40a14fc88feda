"""`responses-mw serve` configured by its environment alone, as a container is."""

import subprocess
from pathlib import Path

import httpx
from served import COMMAND, PATIENCE_S, config, environment, serving


def test_the_configuration_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = config(tmp_path, echo="python/responses_mw.testing:EchoProvider")
    with serving(folder=tmp_path, RESPONSES_MW_CONFIG=file) as server:
        listed = httpx.get(f"{server.url}/models", trust_env=False).json()["data"]
    assert [model["id"] for model in listed] == ["echo"]


def test_the_address_may_be_named_by_variables(tmp_path: Path) -> None:
    file = config(tmp_path, echo="python/responses_mw.testing:EchoProvider")
    said = {"RESPONSES_MW_CONFIG": file, "RESPONSES_MW_HOST": "0.0.0.0", "RESPONSES_MW_PORT": "0"}
    ended = subprocess.run(
        [*COMMAND, "serve"],
        env=environment(tmp_path, **said),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 1
    assert "0.0.0.0" in ended.stderr  # which needs a key
