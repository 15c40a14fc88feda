"""One key and two worker processes: what both of them obey, and how soon."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from served import serving

from responses_mw.keys import KNOWN_S

BUDGET, CLIENTS, EACH = 20, 4, 10
MASTER = "sk-master"
DEAR = '''
import asyncio, os
from responses_mw.deltas import Stopped, TextDelta, UsageReported

class Dear:
    """A dollar an answer, and says which process gave it."""

    async def stream(self, turn):
        await asyncio.sleep(0.1)
        yield TextDelta(str(os.getpid()))
        yield UsageReported(input_tokens=60, output_tokens=40)
        yield Stopped()

dear = Dear()
'''
CONFIG = """
model_list:
  - model_name: dear
    litellm_params:
      model: python/dear:dear
      input_cost_per_token: 0.01
      output_cost_per_token: 0.01
"""


def test_two_processes_overspend_one_budget_by_what_was_in_flight(
    tmp_path: Path, postgres_dsn: str
) -> None:
    (tmp_path / "dear.py").write_text(DEAR)
    (tmp_path / "config.yaml").write_text(CONFIG)
    options = ("--config", "config.yaml", "--workers", "2", "--store", postgres_dsn)
    with serving(*options, folder=tmp_path, RESPONSES_MW_MASTER_KEY=MASTER) as server:
        given = {"owner": "ann", "max_budget": BUDGET}
        master = {"authorization": f"Bearer {MASTER}"}
        key = httpx.post(f"{server.url}/key/generate", json=given, headers=master).json()["key"]

        def ask(_: int) -> list[httpx.Response]:
            """One at a time, each on a connection of its own: either worker may take it."""
            body = {"model": "dear", "input": "hi"}
            bearer = {"authorization": f"Bearer {key}"}
            return [
                httpx.post(f"{server.url}/responses", json=body, headers=bearer)
                for _ in range(EACH)
            ]

        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = [answer for many in clients.map(ask, range(CLIENTS)) for answer in many]
        spent = httpx.get(f"{server.url}/key/info", params={"key": key}, headers=master).json()

    paid = [answer.json() for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert BUDGET <= len(paid) <= BUDGET + CLIENTS - 1
    assert spent["spent"] == len(paid)
    assert len({said["output"][0]["content"][0]["text"] for said in paid}) == 2
    assert {answer.json()["error"]["code"] for answer in refused} == {"insufficient_quota"}


def test_two_processes_obey_a_block_and_a_change(tmp_path: Path, postgres_dsn: str) -> None:
    """Two servers on one database: whichever worker is told, the other one heeds it."""
    (tmp_path / "dear.py").write_text(DEAR)
    (tmp_path / "config.yaml").write_text(CONFIG)
    options = ("--config", "config.yaml", "--store", postgres_dsn)
    with (
        serving(*options, folder=tmp_path, RESPONSES_MW_MASTER_KEY=MASTER) as first,
        serving(*options, folder=tmp_path, RESPONSES_MW_MASTER_KEY=MASTER) as second,
        httpx.Client(timeout=30) as http,
    ):
        both = (first.url, second.url)

        def manage(url: str, route: str, **given: object) -> dict[str, Any]:
            master = {"authorization": f"Bearer {MASTER}"}
            answer = http.post(f"{url}/key/{route}", json=given, headers=master)
            assert answer.status_code == 200, answer.text
            told: dict[str, Any] = answer.json()
            return told

        key = manage(first.url, "generate", owner="ann", max_budget=2)["key"]
        bearer = {"authorization": f"Bearer {key}"}

        def ask() -> list[int]:
            body = {"model": "dear", "input": "hi"}
            return [
                http.post(f"{url}/responses", json=body, headers=bearer).status_code for url in both
            ]

        def read() -> list[int]:
            return [http.get(f"{url}/models", headers=bearer).status_code for url in both]

        before = ask()
        spent = ask()
        manage(first.url, "update", key=key, max_budget=4)
        raised = ask()
        manage(second.url, "block", key=key)
        blocked = ask()
        time.sleep(KNOWN_S)
        unread = read()
        manage(first.url, "unblock", key=key)
        back = read()
        manage(first.url, "update", key=key, models=["cheap"])
        time.sleep(KNOWN_S)
        others = ask()

    assert (before, spent, raised) == ([200, 200], [429, 429], [200, 200])
    assert (blocked, unread, back) == ([401, 401], [401, 401], [200, 200])
    assert others == [403, 403]
