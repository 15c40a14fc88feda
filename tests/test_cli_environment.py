"""`responses-mw serve` configured by its environment alone, as a container is."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from served import COMMAND, PATIENCE_S, config, environment, serving

from responses_mw.cli.serving import Serving
from responses_mw.errors import ConfigurationError


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


def test_a_file_of_models_needs_no_local_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    file = Path(config(tmp_path, echo="python/responses_mw.testing:EchoProvider"))
    assert list(Serving.resolve(config_file=file, store="memory://").models) == ["echo"]
    with pytest.raises(ConfigurationError, match="the local model needs xllamacpp"):
        Serving.resolve(config_file=None, store="memory://")


def test_the_key_of_a_file_may_be_where_litellm_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RESPONSES_MW_MASTER_KEY", raising=False)
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-theirs")
    file = Path(config(tmp_path, echo="python/responses_mw.testing:EchoProvider"))
    assert Serving.resolve(config_file=file, store="memory://").key == "sk-theirs"
    assert Serving.resolve(config_file=file, store="memory://", key="sk-1").key == "sk-1"
    own = tmp_path / "own.yaml"
    own.write_text(file.read_text() + "\ngeneral_settings: {master_key: sk-own}\n")
    assert Serving.resolve(config_file=own, store="memory://").key == "sk-own"
