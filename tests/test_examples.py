"""Every example does what it says, copied out of the repository into an empty folder.

Applications are imported and asked by the official client; scripts and the server they talk to are
processes of their own, as a reader would start them.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from called import begins_and_waits, says
from cases import REPOSITORY
from every_store import store_url
from served import config, serving
from upstream import Exchange, elsewhere, upstream

from responses_mw import HTTPProvider, ResponsesApp
from responses_mw.config import load
from responses_mw.testing import openai_client

__all__ = ["store_url"]

EXAMPLES = REPOSITORY / "examples"
FILES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_file())


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples alone in a folder, which is where we stand."""
    for name in FILES:
        shutil.copy(EXAMPLES / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def imported(folder: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*command: str, **variables: str) -> str:
    found = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.parametrize("name", FILES)
def test_an_example_has_at_most_60_lines(name: str) -> None:
    assert len((EXAMPLES / name).read_text().splitlines()) <= 60


# --- applications


async def test_fastapi_knows_whose_conversation_it_is(copied: Path) -> None:
    app = imported(copied, "fastapi_app").app
    async with openai_client(app, api_key="ann-key", lifespan=True) as ann:
        one = await ann.responses.create(model="echo", input="Hello")
        two = await ann.responses.create(model="echo", input="More", previous_response_id=one.id)
        assert two.output_text == "user: Hello\nassistant: user: Hello\nuser: More"
        with pytest.raises(openai.NotFoundError):
            await ann.with_options(api_key="bob-key").responses.retrieve(one.id)
        with pytest.raises(openai.AuthenticationError):
            await ann.with_options(api_key="nobody").responses.retrieve(one.id)
    assert (copied / "conversations.db").exists()


async def test_starlettes_logged_in_users_are_owners(copied: Path) -> None:
    app = imported(copied, "starlette_app").app
    url = "http://test/api/v1"
    async with openai_client(app, url, api_key="ann-key", lifespan=True) as ann:
        one = await ann.responses.create(model="echo", input="Hello")
        with pytest.raises(openai.NotFoundError):
            await ann.with_options(api_key="bob-key").responses.retrieve(one.id)
        with pytest.raises(openai.AuthenticationError):
            await ann.with_options(api_key="nobody").responses.create(model="echo", input="Hello")
        answer = await ann._client.get("http://test/", headers={"authorization": "Bearer ann-key"})
        assert answer.text == "ann"


async def test_the_middleware_leaves_the_host_its_paths(copied: Path) -> None:
    app = imported(copied, "middleware_app").app
    async with openai_client(app, lifespan=True) as client:
        answer = await client.responses.create(model="echo", input="Hello")
        assert answer.output_text == "user: Hello"
        assert (await client._client.get("http://test/v1/models")).json() == {"models": ["echo"]}


async def test_an_own_provider_answers_and_knows_the_chain(copied: Path) -> None:
    app = imported(copied, "own_provider").app
    async with openai_client(app, lifespan=True) as client:
        one = await client.responses.create(model="librarian", input="A whale?")
        assert one.output_text == "Question 1: Moby-Dick. "
        two = await client.responses.create(
            model="librarian", input="A lamp?", previous_response_id=one.id
        )
        assert two.output_text == "Question 2: nothing on the shelf. "


APPLICATIONS = ["fastapi_app", "starlette_app", "middleware_app", "own_provider"]


@pytest.mark.parametrize("name", APPLICATIONS)
async def test_the_command_in_its_docstring_is_answered(copied: Path, name: str) -> None:
    module = imported(copied, name)
    command = module.__doc__.replace("\\\n", "").splitlines()[-1]
    url, headers, body = of_curl(command)
    async with openai_client(module.app, lifespan=True) as client:
        answer = await client._client.post(url, headers=headers, content=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "completed"


def of_curl(command: str) -> tuple[str, dict[str, str], str]:
    """What `curl URL -H ... -d BODY` posts."""
    words = shlex.split(command)
    assert words[0] == "curl"
    options = list(zip(words[2::2], words[3::2], strict=True))
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    return f"http://{words[1]}", headers, dict(options)["-d"]


def test_the_first_example_is_served_by_uvicorn(copied: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = next(line for line in process.stderr if "running on" in line)
            url = re.search(r"http://[\d.:]+", said)
            assert url is not None
            client = openai.OpenAI(base_url=f"{url[0]}/v1", api_key="ann-key", max_retries=0)
            answer = client.responses.create(model="echo", input="Hello")
            client.close()
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert answer.output_text == "user: Hello"


# --- scripts


def test_any_store_holds_the_same_conversation(copied: Path, store_url: str) -> None:
    said = run("swap_stores.py", store_url)
    assert said.splitlines() == [
        "user: My name is Ada.",
        "assistant: user: My name is Ada.",
        "user: What is my name?",
    ]


def test_the_unit_tests_pass(copied: Path) -> None:
    assert "2 passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_your_app.py")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    models = {
        "local": "python/responses_mw.testing:CheckModel",
        "echo": "python/responses_mw.testing:EchoProvider",
        "gpt-5-mini": "python/responses_mw.testing:EchoProvider",
    }
    with serving("--config", config(folder, **models), folder=folder) as started:
        yield started.url


def test_a_tool_is_called_and_its_output_answered(copied: Path, server: str) -> None:
    called, *answer = run("tool_loop.py", RESPONSES_MW_URL=server).splitlines()
    assert called == 'get_weather({"city": "Oslo"}) -> Sunny and 21 degrees in Oslo.'
    assert "21" in "".join(answer)


def test_branches_do_not_see_each_other(copied: Path, server: str) -> None:
    said = run("branching.py", RESPONSES_MW_URL=server, MODEL="echo")
    sea, mountain = said.removeprefix("--- ").split("\n--- ")
    assert "user: I want to see the sea." in sea
    assert "user: I want to climb a mountain." in mountain
    for branch, other in ((sea, "mountain"), (mountain, "sea")):
        assert "user: I am planning a holiday." in branch
        assert other not in branch


# --- real providers, at a local address


async def claude(exchange: Exchange) -> None:
    await exchange.whole(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": "Hello from Claude."}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "output_tokens": 4},
        }
    )


async def gpt(exchange: Exchange) -> None:
    message = {"role": "assistant", "content": "Hello from GPT."}
    await exchange.whole(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": "gpt-5-mini",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5},
        }
    )


async def test_a_chain_changes_between_real_providers(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with upstream(claude) as first, upstream(gpt) as second:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key-a")
        monkeypatch.setenv("OPENAI_API_KEY", "key-o")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", first.url)
        monkeypatch.setenv("OPENAI_BASE_URL", second.url)
        app = imported(copied, "real_providers").app
        async with openai_client(app, lifespan=True) as client:
            one = await client.responses.create(model="claude", input="Hello")
            two = await client.responses.create(
                model="gpt", input="And you?", previous_response_id=one.id
            )
    assert (one.output_text, two.output_text) == ("Hello from Claude.", "Hello from GPT.")
    assert first.exchanges[0].path == "/v1/messages"
    assert first.exchanges[0].headers["x-api-key"] == "key-a"
    assert second.exchanges[0].path == "/chat/completions"
    assert second.exchanges[0].headers["authorization"] == "Bearer key-o"
    told = [message["content"] for message in second.exchanges[0].json["messages"]]
    assert told == ["Hello", "Hello from Claude.", "And you?"]


def test_calls_need_no_server(copied: Path, server: str) -> None:
    with elsewhere(says("Hello from Claude.", streamed=begins_and_waits)) as it:
        said = run(
            "calls.py",
            RESPONSES_MW_STORE="sqlite:///calls.db",
            ANTHROPIC_API_KEY="key-a",
            ANTHROPIC_API_BASE=it.url,
            OPENAI_API_KEY="key-o",
            OPENAI_API_BASE=server,
        )
    assert said.splitlines() == [
        "claude: Hello from Claude.",
        "user: A bedtime story, please.",
        "assistant: Hello from Claude.",
        "user: Go on.",
        "asked: A bedtime story, please.",
        "deleted: True",
        "story: Hello from Claude.",
        "cancelled",
        "error: 400 previous_response_not_found",
    ]


def test_the_configuration_names_models_store_and_key(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC", "OPENAI", "OPENROUTER", "GROQ"):
        monkeypatch.setenv(f"{name}_API_KEY", "fake")
    monkeypatch.setenv("RESPONSES_MW_MASTER_KEY", "fake")
    loaded = load(copied / "config.yaml")
    assert {name: len(found) for name, found in loaded.models.items()} == {
        "claude": 1, "gpt": 2, "fast": 1, "house": 1, "librarian": 1,
    }  # fmt: skip
    assert loaded.warnings == ()
    assert loaded.store_url == "sqlite:///conversations.db"
    assert loaded.master_key == "fake"
    house = loaded.models["house"][0].provider
    assert isinstance(house, HTTPProvider)
    assert house.base_url == "http://127.0.0.1:8000/v1"
    assert ResponsesApp.from_config(copied / "config.yaml").models == list(loaded.models)
