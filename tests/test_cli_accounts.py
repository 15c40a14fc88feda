"""`usage`, `keys`, `purge` and `export` as an operator runs them, over a store that holds turns."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import COMMAND, config, environment, serving

from stores import SQLiteStore
from stores.testing.conversations import begin, talk
from stores.testing.turns import OWNER, STRANGER, say
from stores.testing.usage import used

MASTER = "sk-master"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Six turns of two owners and three users, what they used, and two conversations."""
    path = tmp_path / "kept.db"
    asyncio.run(_fill(path))
    return path


async def _fill(path: Path) -> None:
    async with SQLiteStore(path) as store:
        for n in range(6):
            owner, user = (OWNER, STRANGER)[n % 2], f"u{n % 3}"
            await say(store, f"r{n}", owner=owner, end_user=user)
            await store.add_usage([used(f"r{n}", owner, end_user=user, cost_nano=n * 10**6)])
        await begin(store, "conv_u1")
        await talk(store, "conv_u1", "talk", end_user="u1")
        await begin(store, "conv_empty")


def run(path: Path, *arguments: str, fails: bool = False) -> str:
    found = subprocess.run(
        [*COMMAND, *arguments, "--store", f"sqlite:///{path}"],
        env=environment(path.parent),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (found.returncode != 0) == fails, found.stderr
    return found.stderr if fails else found.stdout


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def turns(text: str) -> list[dict[str, Any]]:
    return [line for line in lines(text) if line["kind"] == "turn"]


def test_usage_is_summed_for_programs_and_for_people(store: Path) -> None:
    rows = lines(run(store, "usage", "--group-by", "user", "--only", f"owner={OWNER}", "--json"))
    table = run(store, "usage", "--group-by", "owner")
    wrong = run(store, "usage", "--group-by", "colour", fails=True)

    assert {row["user"]: row["cost"] for row in rows} == {"u0": 0, "u1": 0.004, "u2": 0.002}
    assert [line.split()[0] for line in table.splitlines()] == ["owner", STRANGER, OWNER]
    assert "'colour'" in wrong
    assert wrong.startswith("responses-mw: ")


def test_a_key_that_was_made_opens_the_server_until_it_is_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    made = lines(run(path, "keys", "create", "--owner", "ann", "--models", "echo", "--json"))[0]
    file = config(tmp_path, echo="python/responses_mw.testing:EchoProvider")
    options = ("--config", file, "--store", f"sqlite:///{path}", "--workers", "2")
    with serving(*options, folder=tmp_path, RESPONSES_MW_MASTER_KEY=MASTER) as server:
        headers = {"authorization": f"Bearer {made['key']}"}
        body = {"model": "echo", "input": "hi"}
        before = httpx.post(f"{server.url}/responses", json=body, headers=headers)
        listed = run(path, "keys", "list")
        run(path, "keys", "revoke", made["key"])
        after = httpx.post(f"{server.url}/responses", json=body, headers=headers)
        again = run(path, "keys", "revoke", made["id"], fails=True)

    assert before.status_code == 200
    assert made["id"] in listed
    assert made["key"] not in listed
    assert (after.status_code, after.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "no such key" in again


def test_a_key_is_changed_blocked_and_unblocked_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    limits = ("--rpm", "1", "--tpm", "9", "--max-budget", "5", "--budget-duration", "1h")
    made = lines(run(path, "keys", "create", "--owner", "ann", *limits, "--json"))[0]
    id = made["id"]
    file = config(tmp_path, echo="python/responses_mw.testing:EchoProvider")
    options = ("--config", file, "--store", f"sqlite:///{path}")
    with serving(*options, folder=tmp_path, RESPONSES_MW_MASTER_KEY=MASTER) as server:

        def ask() -> tuple[int, str | None]:
            body = {"model": "echo", "input": "hi"}
            headers = {"authorization": f"Bearer {made['key']}"}
            answer = httpx.post(f"{server.url}/responses", json=body, headers=headers)
            error = answer.json()["error"]
            return answer.status_code, error and error["code"]

        begun = ask()
        changes = ("--max-budget", "10", "--expires", "30d", "--without", "rpm,tpm")
        changed = lines(run(path, "keys", "update", id, *changes, "--json"))[0]
        unlimited = ask()
        blocked = run(path, "keys", "block", made["key"])
        kept_out = ask()
        listed = run(path, "keys", "list", "--json")
        run(path, "keys", "unblock", id)
        back = ask()

    assert (begun, unlimited, kept_out, back) == (
        (200, None),
        (200, None),
        (401, "key_blocked"),
        (200, None),
    )
    assert (changed["rpm"], changed["tpm"], changed["max_budget"]) == (None, None, 10)
    assert (changed["budget_duration_s"], changed["budget_ends"]) == (3600, made["budget_ends"])
    assert changed["expires_at"] is not None
    assert blocked == "blocked; a server notices within seconds\n"
    assert lines(listed)[0]["blocked"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("update", "nobody", "--rpm", "1"), "There is no such key"),
        (("block", "nobody"), "There is no such key"),
        (("unblock", "nobody"), "There is no such key"),
        (("update", "nobody"), "Nothing is named that could be changed"),
        (("update", "nobody", "--rpm", "0"), "rpm must be"),
        (("update", "nobody", "--models", ""), "--without models"),
        (("update", "nobody", "--without", "owner"), "not 'owner'"),
        (("update", "nobody", "--rpm", "1", "--without", "rpm"), "not 'rpm'"),
    ],
)
def test_a_change_that_cannot_be_made_is_said_in_a_line(
    store: Path, arguments: tuple[str, ...], says: str
) -> None:
    said = run(store, "keys", *arguments, fails=True)

    assert says in said
    assert said.startswith("responses-mw: ")
    assert len(said.splitlines()) == 1


def test_purging_a_user_erases_them_at_every_owner_and_keeps_the_sums(store: Path) -> None:
    said = run(store, "purge", "--user", "u0")
    left = turns(run(store, "export"))
    rows = lines(run(store, "usage", "--group-by", "user", "--json"))
    again = run(store, "purge", "--user", "u0")

    assert said == "2 turns erased\n"
    assert sorted(turn["id"] for turn in left) == ["r1", "r2", "r4", "r5", "talk"]
    assert {row["user"]: row["requests"] for row in rows} == {None: 2, "u1": 2, "u2": 2}
    assert again == "0 turns erased\n"


def test_purging_one_owner_or_one_response_touches_no_other(store: Path) -> None:
    one = run(store, "purge", "--id", "r1")
    users = run(store, "purge", "--owner", OWNER, "--user", "u2")
    all = run(store, "purge", "--owner", STRANGER)
    left = turns(run(store, "export"))

    assert (one, users, all) == ("1 turn erased\n", "1 turn erased\n", "2 turns erased\n")
    assert sorted(turn["id"] for turn in left) == ["r0", "r4", "talk"]


@pytest.mark.parametrize("command", [["purge", "--user", "ann"], ["usage"]])
def test_a_database_that_is_not_there_is_named_and_not_made(
    tmp_path: Path, command: list[str]
) -> None:
    said = run(tmp_path / "mistyped.db", *command, fails=True)

    assert f"there is no file {tmp_path / 'mistyped.db'}" in said
    assert list(tmp_path.iterdir()) == []


def test_of_a_configuration_file_only_the_database_is_read(store: Path, tmp_path: Path) -> None:
    file = Path(config(tmp_path, model="python/not_on_this_machine:Model"))
    with file.open("a") as more:
        more.write(f"general_settings:\n  database_url: sqlite:///{store}\n")

    summed = subprocess.run(
        [*COMMAND, "usage", "--config", str(file)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert summed.stderr == ""
    assert OWNER in summed.stdout


@pytest.mark.parametrize("asked", [[], ["--id", "a", "--user", "b"]])
def test_purging_everything_by_mistake_is_refused(store: Path, asked: list[str]) -> None:
    assert "one of --id, --user and --owner" in run(store, "purge", *asked, fails=True)
    assert len(turns(run(store, "export"))) == 7


@pytest.fixture
def cut_off(store: Path, tmp_path: Path) -> tuple[Path, bytes]:
    """A file whose last line was not written whole, and what a whole export looks like."""
    whole = run(store, "export").encode()
    file = tmp_path / "export.jsonl"
    file.write_bytes(whole[: len(whole) // 2])
    return file, whole


def test_an_export_that_was_cut_off_goes_on_to_the_same_bytes(
    store: Path, cut_off: tuple[Path, bytes]
) -> None:
    file, whole = cut_off

    run(store, "export", "--out", str(file))
    first = file.read_bytes()
    run(store, "export", "--out", str(file))

    assert first == whole
    assert file.read_bytes() == whole
    file.write_bytes(whole[:30])
    run(store, "export", "--out", str(file))
    assert file.read_bytes() == whole


def test_an_export_goes_on_behind_any_line(store: Path) -> None:
    whole = lines(run(store, "export"))

    for n in (0, 3, 7, len(whole) - 1):
        assert lines(run(store, "export", "--after", whole[n]["cursor"])) == whole[n + 1 :]
    assert "cursor" in run(store, "export", "--after", "nonsense", fails=True)
    assert "cursor" in run(store, "export", "--after", "turn:nonsense", fails=True)


def test_an_export_of_one_user_has_their_conversations_turns_and_usage(store: Path) -> None:
    whole = lines(run(store, "export"))
    mine = lines(run(store, "export", "--owner", OWNER, "--user", "u1"))
    both = lines(run(store, "export", "--user", "u1"))

    kinds = [line["kind"] for line in whole]
    assert kinds == ["conversation"] * 2 + ["turn"] * 7 + ["usage"] * 6
    assert [line["kind"] for line in mine] == ["conversation", "turn", "turn", "usage"]
    assert (mine[0]["id"], mine[-1]["response"]) == ("conv_u1", "r4")
    assert {line["id"] for line in mine[1:3]} == {"r4", "talk"}
    assert {line["owner"] for line in both} == {OWNER, STRANGER}
    assert mine[-1]["cost_nano"] == 4 * 10**6


@pytest.mark.parametrize("content", ["a letter", "one\ntwo\n", '{"a": 1}\n', '{"a": 1}'])
def test_a_file_that_is_no_export_is_left_as_it_was(
    store: Path, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "letter.txt"
    file.write_text(content)

    said = run(store, "export", "--out", str(file), fails=True)

    assert "is no export" in said
    assert file.read_text() == content


def test_a_store_in_another_process_memory_is_refused(tmp_path: Path) -> None:
    found = subprocess.run(
        [*COMMAND, "usage", "--store", "memory://"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert found.returncode != 0
    assert "name another --store" in found.stderr
