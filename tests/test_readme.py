"""What README.md and docs/ say is so: code, lists and promises are held against the project."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from called import says
from cases import REPOSITORY
from served import config, serving
from starlette.routing import Route
from upstream import elsewhere

from responses_mw import ResponsesApp, Settings, later
from responses_mw.adapters.chat_dialects import DIALECTS
from responses_mw.schema import CreateRequest
from responses_mw.testing import EchoProvider
from stores.tables import Table

README = (REPOSITORY / "README.md").read_text()


def doc(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text()


def section(title: str, text: str = README) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each table row, without the first table's head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def code(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def point(beginning: str) -> str:
    """One point of the list of parameters."""
    listed = section("Parameters of `POST /responses`", doc("api.md"))
    return listed.partition(f"\n- {beginning}")[2].partition("\n- ")[0].partition("\n\n")[0]


def test_the_first_block_is_an_example() -> None:
    first = README.partition("```python\n")[2].partition("```")[0]
    assert README.count("```", 0, README.index("```python")) == 0
    assert first == (REPOSITORY / "examples" / "fastapi_app.py").read_text()


def test_every_example_is_listed() -> None:
    linked = set(re.findall(r"\(examples/([\w.]+)\)", README))
    assert linked == {path.name for path in (REPOSITORY / "examples").iterdir() if path.is_file()}


DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_every_document_is_found_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)", README))
    assert linked == {path.name for path in DOCUMENTS} - {"README.md"}


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


CALLS = [
    *blocks(section("Call it without a server")),
    *blocks((REPOSITORY / "docs" / "from-litellm.md").read_text()),
]


@pytest.fixture(scope="module")
def openais_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    models = {"gpt-5-mini": "python/responses_mw.testing:EchoProvider"}
    with serving("--config", config(folder, **models), folder=folder) as server:
        yield server.url


def test_a_served_model_is_asked_as_shown(tmp_path: Path) -> None:
    (shown,) = blocks(section("Serve it alone"))
    models = {"local": "python/responses_mw.testing:EchoProvider"}
    with serving("--config", config(tmp_path, **models), folder=tmp_path) as server:
        asked = shown.replace("http://127.0.0.1:4000", server.url.removesuffix("/v1"))
        found = subprocess.run(
            [sys.executable, "-c", asked], capture_output=True, text=True, timeout=30, check=True
        )
    assert asked != shown
    assert found.stdout.splitlines()[0] == "user: My name is Ada."


@pytest.mark.parametrize("n", range(3))
def test_the_calls_work_as_shown(n: int, openais_place: str, tmp_path: Path) -> None:
    assert len(CALLS) == 3
    with elsewhere(says("Once.")) as it:
        variables = {
            "RESPONSES_MW_STORE": "sqlite:///calls.db",
            "ANTHROPIC_API_KEY": "key-a",
            "ANTHROPIC_API_BASE": it.url,
            "OPENAI_API_KEY": "key-o",
            "OPENAI_API_BASE": openais_place,
        }
        found = subprocess.run(
            [sys.executable, "-W", "error", "-c", CALLS[n]],
            env={**os.environ, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (found.returncode, found.stderr) == (0, "")
    assert "Once." in found.stdout or "Who are you?" in found.stdout


@pytest.mark.parametrize("promise", rows(section("What it promises")), ids=lambda row: row[0][:40])
def test_every_promise_has_its_test(promise: list[str]) -> None:
    file, _, name = promise[1].strip("`").partition("::")
    assert re.search(rf"^\s*(async )?def {name}\(", (REPOSITORY / file).read_text(), re.MULTILINE)


def test_the_routes_are_these() -> None:
    app = ResponsesApp(store="memory://", models={"echo": EchoProvider()})
    served = {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    told = [row[0].strip("`").split() for row in rows(section("Routes", doc("api.md")))]
    assert {f"{method} {path}" for *methods, path in told for method in methods} == served


def test_what_is_refused_is_what_the_server_refuses() -> None:
    parameters = [
        path if refused is later.ANY else f"{path}: {json.dumps(refused)}"
        for path, refused in later.PARAMETERS.items()
    ]
    named, _, others = point("Refused for now").partition("input items")
    assert code(named) == parameters
    assert code(others.partition(";")[0]) == list(later.ITEM_TYPES)


def test_every_parameter_is_listed_once() -> None:
    refused = [path for path, value in later.PARAMETERS.items() if value is later.ANY]
    effective = [name for name in code(point("In effect")) if name in CreateRequest.model_fields]
    idle = [*code(point("Told to upstreams")), *code(point("Checked and without effect"))]
    idle = [name for name in idle if "." not in name and name != "include"]
    listed = [*effective, *idle, *refused]
    assert set(listed) == set(CreateRequest.model_fields)
    assert len(listed) == len(set(listed))


def test_the_conformance_suite_runs_as_shown(tmp_path: Path) -> None:
    block = doc("stores.md").partition("```python\n")[2]
    (tmp_path / "test_my_store.py").write_text(block.partition("```")[0])
    (tmp_path / "my_store.py").write_text("from stores import SQLiteStore as MyStore\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "stranger"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert re.search(r"^\d+ passed", found.stdout, re.MULTILINE), found.stdout + found.stderr


def test_the_tables_are_these() -> None:
    told = re.findall(r"^- `(rmw_\w+)`:", doc("stores.md"), re.M)
    assert set(told) == set(Table.metadata.tables)


def test_every_dialect_is_named() -> None:
    assert set(DIALECTS) <= set(code(doc("providers.md")))


def test_the_settings_are_these() -> None:
    told = {
        code(row[0])[0]: code(row[1]) for row in rows(section("Settings", doc("configuration.md")))
    }
    defaults = Settings()
    assert told == {field.name: [repr(getattr(defaults, field.name))] for field in fields(Settings)}
