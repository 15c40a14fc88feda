"""Frameworks that people call the API with, on demand: `scripts/check --clients`.

Each is installed in an environment of its own and asks a server whose models stand behind another
wire format each. What a framework does wrong may be its own; a refusal or a crash is looked into.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Server, serving

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("RESPONSES_MW_CLIENTS", "nowhere"))
CLIENTS = ["agents", "langchain", "litellm", "llama_index", "node", "pydantic_ai"]
MODELS = ["gpt-5-mini", "claude", "relay"]
"""Behind chat completions, Messages and Responses. The clients judge by the first's name that it
reasons."""
PATIENCE_S = 300

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="no clients are installed: scripts/check --clients"
)


@pytest.fixture(scope="module")
def toy() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with subprocess.Popen([sys.executable, HERE / "toy_models.py", str(port)]) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail("the toy model does not listen")


@pytest.fixture(scope="module")
def server(toy: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clients")
    chat = f"model: openai/toy, api_base: '{toy}', use_chat_completions_api: true"
    claude = f"model: anthropic/claude-sonnet-4-5, api_base: '{toy}'"
    with serving(
        "--config", _config(folder, {MODELS[0]: chat, MODELS[1]: claude}), folder=folder
    ) as it:
        relay = f"model: openai/{MODELS[0]}, api_base: '{it.url}'"
        named = {MODELS[0]: chat, MODELS[1]: claude, MODELS[2]: relay}
        outer = tmp_path_factory.mktemp("relay")
        with serving("--config", _config(outer, named), folder=outer) as server:
            yield server


def _config(folder: Path, models: dict[str, str]) -> str:
    entries = [
        f"  - model_name: {name}\n    litellm_params: {{{told}, api_key: none, max_retries: 0}}\n"
        for name, told in models.items()
    ]
    file = folder / "config.yaml"
    file.write_text("model_list:\n" + "".join(entries))
    return str(file)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_wish_of_a_client_is_fulfilled(client: str, model: str, server: Server) -> None:
    command, folder = _command(client)
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "BASE_URL": server.url, "MODEL": model},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


def _command(client: str) -> tuple[list[str], Path]:
    folder = FOLDER / client
    if not folder.is_dir():
        pytest.skip(f"{client} is not installed: scripts/check --clients")
    if client == "node":
        return [shutil.which("node") or "node", str(HERE / "clients" / "with_node.mjs")], folder
    return [str(folder / "bin" / "python"), str(HERE / "clients" / f"with_{client}.py")], folder
