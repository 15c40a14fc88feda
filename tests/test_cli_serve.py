"""`responses-mw serve` as a process: what it announces, whom it lets in, how it ends."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI
from served import COMMAND, PATIENCE_S, Server, config, environment, serving

ECHO = "python/responses_mw.testing:EchoProvider"
KEY = "sk-the-only-key"
BEARER = {"Authorization": f"Bearer {KEY}"}

SLOW = """
import asyncio
from responses_mw.deltas import Stopped, TextDelta

class Slow:
    async def stream(self, turn):
        for n in range(20):
            yield TextDelta(f"{n} ")
            await asyncio.sleep(0.1)
        yield Stopped()
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("guarded")
    with serving(
        "--config", config(folder, echo=ECHO), folder=folder, RESPONSES_MW_MASTER_KEY=KEY
    ) as server:
        yield server


def ask(server: Server, text: str, after: str | None = None, key: str = KEY) -> tuple[str, str]:
    """(id, text) of the answer, through the official client."""
    client = OpenAI(base_url=server.url, api_key=key, max_retries=0)
    answer = client.responses.create(model="echo", input=text, previous_response_id=after)
    return answer.id, answer.output_text


def test_it_announces_data_models_key_and_address(guarded: Server) -> None:
    assert guarded.said["data"].endswith("/responses-mw/responses.db")
    assert guarded.said["models"] == "echo"
    assert guarded.said["key"] == "required"
    assert guarded.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "path", ["/v1/responses", "/responses", "/v1/models", "/v1/models/health/live", "/v1/nothing"]
)
@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", f"Bearer {KEY}x", "Bearer", f"Basic {KEY}", KEY]
)
def test_without_the_key_every_route_is_a_401(
    guarded: Server, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = httpx.post(guarded.root + path, json={}, headers=headers)

    assert answer.status_code == 401
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == "invalid_api_key"
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", ""])
def test_routes_answer_under_v1_and_under_the_root(guarded: Server, prefix: str) -> None:
    root = guarded.root + prefix
    made = httpx.post(
        f"{root}/responses", json={"model": "echo", "input": "hi"}, headers=BEARER
    ).json()

    assert made["output"][0]["content"][0]["text"] == "user: hi"
    assert httpx.get(f"{root}/responses/{made['id']}", headers=BEARER).json()["id"] == made["id"]
    assert httpx.get(f"{root}/models", headers=BEARER).json()["data"][0]["id"] == "echo"
    assert httpx.get(f"{root}/models/echo", headers=BEARER).json()["object"] == "model"
    described = httpx.get(f"{root}/openapi.json", headers=BEARER).json()
    assert described["servers"] == [{"url": prefix or "/"}]


def test_health_is_open_and_has_litellms_names_too(guarded: Server) -> None:
    ready = {"status": "ok", "deployments": {"healthy": 1}}
    for path in ("/health/ready", "/v1/health/ready", "/health/readiness"):
        assert httpx.get(guarded.root + path).json() == ready
    for path in ("/health/live", "/v1/health/live", "/health/liveliness", "/health/liveness"):
        assert httpx.get(guarded.root + path).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/models/absent", 404),
        ("PUT", "/v1/responses", 405),
    ],
)
def test_errors_of_the_framework_come_in_the_envelope(
    guarded: Server, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, guarded.root + path, headers=BEARER)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_what_a_proxy_says_of_its_client_is_heeded(guarded: Server) -> None:
    forwarded = {**BEARER, "X-Forwarded-Proto": "https"}
    for headers, scheme in ((BEARER, "http"), (forwarded, "https")):
        answer = httpx.get(f"{guarded.url}/responses/", headers=headers)
        assert answer.headers["location"].startswith(f"{scheme}://127.0.0.1:")


def test_a_conversation_outlives_the_server(tmp_path: Path) -> None:
    options = ("--config", config(tmp_path, echo=ECHO), "--store", "sqlite:///kept.db")
    with serving(*options, folder=tmp_path) as server:
        first, _ = ask(server, "one")
    with serving(*options, folder=tmp_path) as server:
        _, said = ask(server, "two", after=first)

    assert said == "user: one\nassistant: user: one\nuser: two"


def test_workers_share_the_conversations(tmp_path: Path) -> None:
    options = ("--config", config(tmp_path, echo=ECHO), "--workers", "2", "--api-key", KEY)
    with serving(*options, folder=tmp_path) as server:
        id = None
        for n in range(8):
            # A connection each, so that either worker may get it.
            id, said = ask(server, f"turn {n}", after=id)
        assert said.count("user: turn") >= 8
        server.ask_to_end()
        server.process.wait(PATIENCE_S)


def test_told_to_end_it_finishes_its_answers_and_takes_no_new_ones(tmp_path: Path) -> None:
    (tmp_path / "slow_model.py").write_text(SLOW)
    options = ("--config", config(tmp_path, slow="python/slow_model:Slow"), "--store", "memory://")
    body = {"model": "slow", "input": "count"}
    with serving(*options, folder=tmp_path) as server:
        with httpx.stream(
            "POST", f"{server.url}/responses", json={**body, "stream": True}
        ) as stream:
            lines = stream.iter_lines()
            next(line for line in lines if "output_text.delta" in line)
            server.ask_to_end()
            refused = _refused(server, body)
            ready = httpx.get(f"{server.url}/health/ready")
            rest = list(lines)
        server.process.wait(PATIENCE_S)

    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "server_draining"
    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert "event: response.completed" in rest
    assert rest[-2] == "data: [DONE]"


def test_without_a_key_web_pages_are_turned_away(tmp_path: Path) -> None:
    options = ("--config", config(tmp_path, echo=ECHO), "--store", "memory://")
    with serving(*options, folder=tmp_path) as server:
        assert server.said["key"].startswith("none")
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            answer = httpx.post(f"{server.url}/responses", json={}, headers=headers)
            assert answer.status_code == 403
            assert "evil.example" in answer.json()["error"]["message"]
        own = {"Origin": server.root}
        assert httpx.get(f"{server.url}/models", headers=own).status_code == 200


def test_a_provider_is_found_beside_the_file_from_wherever_it_is_started(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "beside_the_file.py").write_text(SLOW)
    file = config(folder, slow="python/beside_the_file:Slow")
    with serving("--config", file, "--workers", "2", folder=tmp_path) as server:
        assert server.said["models"] == "slow"
        assert httpx.get(f"{server.url}/models").json()["data"][0]["id"] == "slow"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "set --api-key or RESPONSES_MW_MASTER_KEY"),
        (["--workers", "2", "--store", "memory://"], "2 workers cannot share memory://"),
        (["--store", "nope://x"], "a store URL with the scheme 'nope' is not known"),
        (["--store", "sqlite:////no/such/folder/x.db"], "cannot be opened"),
        (["--store", "postgresql://u:hunter2@127.0.0.1:9/x"], "postgresql://u:***@127.0.0.1:9/x"),
        (["--config", "absent.yaml"], "absent.yaml cannot be read"),
        (["--host", "not.a.host.invalid", "--api-key", KEY], "choose another --host or --port"),
    ],
)
def test_what_stops_the_start_is_one_line(tmp_path: Path, options: list[str], said: str) -> None:
    if "--config" not in options:
        options = [*options, "--config", config(tmp_path, echo=ECHO)]
    ended = _run("serve", "--port", "0", *options, folder=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith("responses-mw: ")
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr
    assert "hunter2" not in ended.stderr


def test_a_taken_port_is_named(guarded: Server, tmp_path: Path) -> None:
    port = guarded.root.rpartition(":")[2]
    ended = _run("serve", "--config", config(tmp_path, echo=ECHO), "--port", port, folder=tmp_path)

    assert f"127.0.0.1:{port} cannot be listened on: Address already in use" in ended.stderr


def _run(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def _refused(server: Server, body: dict[str, str]) -> httpx.Response:
    """The first answer after the signal arrived."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if httpx.get(f"{server.url}/health/ready").status_code == 503:
            return httpx.post(f"{server.url}/responses", json=body)
        time.sleep(0.02)
    raise TimeoutError("the server did not heed the signal")
