"""`responses-mw chat` with its standard input piped: what a user says, and what they read."""

import re
import subprocess
from pathlib import Path

import pytest
from served import COMMAND, PATIENCE_S, config, environment, serving

ECHO = "python/responses_mw.testing:EchoProvider"
FAILING = """
from responses_mw.deltas import Stopped, TextDelta
from responses_mw.errors import UpstreamProtocolError, UpstreamRefused

class Failing:
    async def stream(self, turn):
        if "refuse" in str(list(turn.items)[-1]):
            raise UpstreamRefused("too many", status=429, type="rate_limit_error")
        yield TextDelta("half an ")
        if "break" in str(list(turn.items)[-1]):
            raise UpstreamProtocolError("it broke off")
        yield Stopped("max_output_tokens")
"""


def chat(
    said: str, *options: str, folder: Path, **variables: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, "chat", *options],
        input=said,
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def own_server(folder: Path, model: str = ECHO) -> tuple[str, ...]:
    return ("--config", config(folder, it=model), "--store", "sqlite:///chat.db")


def test_turns_continue_each_other_and_back_branches(tmp_path: Path) -> None:
    script = "one\ntwo\n/back\nthree\n/history\n/quit\nnever said\n"

    ended = chat(script, *own_server(tmp_path), folder=tmp_path)

    assert ended.returncode == 0, ended.stderr
    told, _, history = ended.stdout.partition("after resp_")
    assert "user: one\nassistant: user: one\nuser: two\n" in told
    history = re.sub(r"--- resp_\w+\n", "", history.partition("--- ")[2]).partition("\n")[2]
    assert history == (
        "user: one\nassistant: user: one\n"
        "user: three\nassistant: user: one\nassistant: user: one\nuser: three\n"
    )
    assert "never said" not in ended.stdout


def test_a_chat_goes_on_from_a_stored_response(tmp_path: Path) -> None:
    first = chat("one\n/history\n", *own_server(tmp_path), folder=tmp_path)
    [id] = re.findall(r"resp_\w+", first.stdout)

    again = chat("two\n", *own_server(tmp_path), "--continue", id, folder=tmp_path)

    assert again.stdout.endswith("user: one\nassistant: user: one\nuser: two\n")


def test_it_talks_to_a_running_server_with_its_key(tmp_path: Path) -> None:
    with serving(*own_server(tmp_path), "--api-key", "sk-1", folder=tmp_path) as server:
        well = chat("hello\n", "--url", server.root, "--api-key", "sk-1", folder=tmp_path)
        badly = chat("hello\n", "--url", server.url, "--api-key", "sk-2", folder=tmp_path)

    assert well.stdout.endswith("user: hello\n")
    assert badly.returncode == 1
    assert badly.stderr == "responses-mw: Incorrect API key provided. (HTTP 401)\n"


def test_errors_are_said_and_the_conversation_goes_on(tmp_path: Path) -> None:
    (tmp_path / "failing_model.py").write_text(FAILING)
    script = "refuse\nbreak\ncut\n/back 7\n/back x\n/back resp_none\n/nonsense\n/help\n"

    ended = chat(script, *own_server(tmp_path, "python/failing_model:Failing"), folder=tmp_path)

    assert [line for line in ended.stdout.splitlines() if line.startswith("error: ")] == [
        "error: too many (HTTP 429)",
        "error: it broke off",
        "error: that is before the beginning; the next turn is the first",
        "error: /back takes a number of turns or a response's id",
        "error: Response with id 'resp_none' not found. (HTTP 404)",
        "error: there is no command /nonsense; /help lists them",
    ]
    assert "half an \n(cut short: max_output_tokens)" in ended.stdout
    assert "go N turns back" in ended.stdout


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "not a url"])
def test_an_address_where_nobody_answers_is_named(tmp_path: Path, url: str) -> None:
    ended = chat("hello\n", "--url", url, folder=tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"responses-mw: {url}/v1: ")
    assert ended.stderr.count("\n") == 1
