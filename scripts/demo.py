"""Serves the local model over SQLite and holds three turns with it through the official client.

The third turn can only be answered from the first, and the request for it names nothing but the
second's id: whatever the model saw of the first, the server rebuilt from its store.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from openai import OpenAI

BIN = Path(sys.executable).parent
CONFIG = """
model_list:
  - model_name: local
    litellm_params:
      model: python/demo_model:Watched
"""
TURNS = (
    "My name is Ada and I have a cat called Milo.",
    "What is the capital of France?",
    "What is the name of my cat?",
)


def main() -> int:
    subprocess.run([BIN / "responses-mw", "fetch-model"], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as folder:
        turns = Path(folder) / "turns.jsonl"
        with serving(Path(folder), turns) as (url, data):
            print(f"\nServing at {url}\n")
            ids = converse(OpenAI(base_url=url, api_key="none", max_retries=0))
        reached = json.loads(turns.read_text().splitlines()[-1])
    return report(reached, ids[-1], data)


@contextlib.contextmanager
def serving(folder: Path, turns: Path) -> Iterator[tuple[str, str]]:
    """(URL, where the data lies) of a server of our own, ended afterwards."""
    config = folder / "demo.yaml"
    config.write_text(CONFIG)
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": here, "RESPONSES_MW_DEMO_TURNS": str(turns)}
    environment.pop("RESPONSES_MW_MASTER_KEY", None)
    command = [BIN / "responses-mw", "serve", "--config", config, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            said: dict[str, str] = {}
            for line in server.stdout:
                label, _, value = line.strip().partition(" ")
                said[label] = value.strip()
                if label == "url":
                    break
            else:
                sys.exit("the server did not start; what it said is above")
            yield said["url"], said["data"]
        finally:
            server.terminate()


def converse(client: OpenAI) -> list[str]:
    """The ids of the responses, oldest first."""
    ids: list[str] = []
    for text in TURNS:
        print(f"you:   {text}")
        print("model: ", end="", flush=True)
        stream = client.responses.create(
            model="local",
            input=text,
            previous_response_id=ids[-1] if ids else None,
            max_output_tokens=60,
            temperature=0,
            stream=True,
        )
        for event in stream:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
            elif event.type in ("response.completed", "response.incomplete"):
                ids.append(event.response.id)
            elif event.type == "response.failed":
                sys.exit(f"\nthe turn failed: {event.response.error}")
        print("\n")
    return ids


def report(reached: list[dict], last: str, data: str) -> int:
    print("For the third turn the client sent one line and the second response's id.")
    print("What reached the model:\n")
    for item in reached:
        print(f"  {item['role']:<10} {item['content'][0]['text']}")
    users = [item["content"][0]["text"] for item in reached if item["role"] == "user"]
    if users != list(TURNS):
        print("\nThat is not the conversation that was held: something is broken.", file=sys.stderr)
        return 1
    command = os.path.relpath(BIN / "responses-mw")
    print(f"""
(A model of 135M parameters is a toy, and may well get it wrong; the history is what is to be seen.)

The conversation is kept in {data}
Try next:
  {command} chat --continue {last}
  {command} serve        and then, with any OpenAI client, base_url http://127.0.0.1:4000/v1
  {command} serve --help
  scripts/check""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
