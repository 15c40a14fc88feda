"""What the Dockerfile, compose.yaml and docs/containers.md say is so, as far as it goes without a
container engine."""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from called import says
from cases import REPOSITORY
from served import PATIENCE_S, serving
from upstream import elsewhere

from responses_mw.config import load

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
DOC = (REPOSITORY / "docs" / "containers.md").read_text()
SERVICE = COMPOSE["services"]["responses"]
CONFIG = re.findall(r"cat > config.yaml <<END\n(.*?)^END$", DOC, re.M | re.S)[0]
KEYS = {"ANTHROPIC_API_KEY": "key-a", "OPENAI_API_KEY": "key-o"}


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "").split("\n")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined)]


def the(word: str) -> str:
    [found] = [rest for name, rest in instructions() if name == word]
    return found


def variables() -> dict[str, str]:
    return dict(part.split("=", 1) for part in the("ENV").split())


def test_what_is_copied_is_there_and_reaches_the_build() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = [name for word, rest in instructions() if word == "COPY" for name in rest.split()[:-1]]
    assert copied
    for name in copied:
        assert (REPOSITORY / name).exists()
        assert f"!{name}" in ignored


def test_the_package_needs_nothing_that_is_not_copied() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    copied = {name for word, rest in instructions() if word == "COPY" for name in rest.split()}
    needed = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert needed | set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= copied
    extras = set(the("ARG").removeprefix("EXTRAS=").split(","))
    assert extras <= set(project["project"]["optional-dependencies"])
    assert all(f"`{extra}`" in DOC for extra in extras)
    assert json.loads(the("ENTRYPOINT"))[0] in project["project"]["scripts"]


def test_every_variable_is_explained() -> None:
    table = DOC.partition("## Configured by the environment alone")[2].partition("\n## ")[0]
    known = set(re.findall(r"^\| `(\w+)`", table, re.M))
    assert set(variables()) <= known
    assert set(SERVICE["environment"]) - set(KEYS) <= known


def test_what_compose_asks_for_is_what_the_page_exports() -> None:
    text = (REPOSITORY / "compose.yaml").read_text()
    exported = set(re.findall(r"(\w+)=\.\.\.", DOC.partition("export ")[2].partition("\n")[0]))
    assert exported == set(re.findall(r"\$\{(\w+):[?-]", text))


def test_compose_mounts_the_configuration_where_it_is_read() -> None:
    [mounted] = SERVICE["volumes"]
    assert mounted == f"./config.yaml:{SERVICE['environment']['RESPONSES_MW_CONFIG']}:ro"
    assert SERVICE["ports"] == [f"4000:{variables()['RESPONSES_MW_PORT']}"]
    store = SERVICE["environment"]["RESPONSES_MW_STORE"]
    database = COMPOSE["services"]["postgres"]["environment"]
    assert store == (
        f"postgresql://{database['POSTGRES_USER']}:${{POSTGRES_PASSWORD:?}}"
        f"@postgres/{database['POSTGRES_DB']}"
    )
    assert SERVICE["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert set(COMPOSE["volumes"]) == {
        volume.partition(":")[0] for volume in COMPOSE["services"]["postgres"]["volumes"]
    }


def test_compose_kills_nothing_that_is_still_waited_for() -> None:
    loaded = load({**yaml.safe_load(CONFIG.replace("os.environ/", "k"))})
    assert float(SERVICE["stop_grace_period"].removesuffix("s")) > loaded.settings.drain_s


def test_what_compose_sets_serves_turns_and_ends(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    with elsewhere(says("Once.")) as claude:
        settings = {
            **variables(),
            **SERVICE["environment"],
            **KEYS,
            "RESPONSES_MW_MASTER_KEY": "sk-1",
            "RESPONSES_MW_STORE": postgres_dsn,
            "RESPONSES_MW_CONFIG": str(file),
            "RESPONSES_MW_HOST": "127.0.0.1",
            "XDG_DATA_HOME": str(tmp_path),
            "ANTHROPIC_API_BASE": claude.url,
        }
        del settings["RESPONSES_MW_PORT"]
        with serving(folder=tmp_path, **settings) as server:
            port = str(httpx.URL(server.url).port)
            assert health(port).returncode == 0
            bearer: dict[str, Any] = {"headers": {"authorization": "Bearer sk-1"}}
            listed = httpx.get(f"{server.url}/models", trust_env=False, **bearer).json()
            assert [model["id"] for model in listed["data"]] == ["claude", "gpt"]
            asked = {"model": "claude", "input": "Hi"}
            made = httpx.post(f"{server.url}/responses", json=asked, trust_env=False, **bearer)
            assert made.json()["output"][0]["content"][0]["text"] == "Once."
            id = made.json()["id"]
            for _ in range(4):  # either of the two workers
                found = httpx.get(f"{server.url}/responses/{id}", trust_env=False, **bearer)
                assert found.json()["id"] == id
            counted = httpx.get(f"{server.root}/metrics", trust_env=False, **bearer)
            assert counted.status_code == 200
            began = time.monotonic()
            server.ask_to_end()
            assert server.process.wait(PATIENCE_S) == 0
            assert time.monotonic() - began < 10
            assert health(port).returncode != 0


def health(port: str) -> "subprocess.CompletedProcess[str]":
    """The Dockerfile's own check."""
    options, _, command = the("HEALTHCHECK").partition(" CMD ")
    assert all(option.startswith("--") for option in options.split())
    python, *arguments = json.loads(command)
    assert python == "python"
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "RESPONSES_MW_PORT": port},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
