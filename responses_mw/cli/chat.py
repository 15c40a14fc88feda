"""`responses-mw chat`: a conversation in the terminal, over HTTP as any client would hold it.

The server keeps the conversation; all this remembers is the id it goes on from.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson

from responses_mw.cli.serve import in_process
from responses_mw.cli.serving import MASTER_KEY, Serving
from responses_mw.errors import ConfigurationError
from responses_mw.sse import SSEParser

HELP = """\
/history      the conversation so far, oldest first
/back [N]     go N turns back (1 if you say no number); what you say next branches off there
/back ID      go on from any stored response
/quit         end; the conversation is kept"""


class ChatError(Exception):
    """Said to the user; the conversation goes on."""


def chat(
    *,
    url: str | None,
    model: str | None,
    key: str | None,
    continue_from: str | None,
    config_file: Path | None,
    store: str | None,
) -> None:
    key = key or os.environ.get(MASTER_KEY)
    with contextlib.ExitStack() as stack:
        if url is None:
            serving = Serving.resolve(config_file=config_file, store=store, key=key)
            url, key = stack.enter_context(in_process(serving)), serving.key
            print(f"data    {serving.data}")
        client = stack.enter_context(Client(url, key))
        try:
            model = model or client.first_model()
        except ChatError as error:
            raise ConfigurationError(str(error)) from error
        print(f"model   {model}\n/help lists commands, /quit ends.", flush=True)
        Chat(client, model, continue_from).run()


class Chat:
    """`last` is the response that the next turn continues."""

    def __init__(self, client: "Client", model: str, last: str | None = None) -> None:
        self._client = client
        self._model = model
        self._last = last

    def run(self) -> None:
        for line in _lines():
            try:
                if line in ("/quit", "/exit"):
                    return
                self._take(line)
            except ChatError as error:
                print(f"error: {error}", flush=True)
            except KeyboardInterrupt:
                print("\n(no longer listening; the server finishes and keeps the answer)")

    def _take(self, line: str) -> None:
        command, _, argument = line.partition(" ")
        match command:
            case "":
                return
            case "/help":
                print(HELP)
            case "/history":
                self._show_history()
            case "/back":
                self._go_back(argument.strip())
            case _ if command.startswith("/"):
                raise ChatError(f"there is no command {command}; /help lists them")
            case _:
                self._say(line)

    def _say(self, text: str) -> None:
        body = {"model": self._model, "input": text, "previous_response_id": self._last}
        for event in self._client.create(body):
            match event["type"]:
                case "response.output_text.delta" | "response.refusal.delta":
                    print(event["delta"], end="", flush=True)
                case "response.completed" | "response.incomplete":
                    print()
                    self._ended(event["response"])
                case "response.failed":
                    print()
                    raise ChatError(event["response"]["error"]["message"])

    def _ended(self, response: dict[str, Any]) -> None:
        self._last = response["id"]
        if response["status"] == "incomplete":
            print(f"(cut short: {response['incomplete_details']['reason']})")

    def _go_back(self, where: str) -> None:
        if where.startswith("resp_"):
            self._last = self._client.response(where)["id"]
        else:
            if where and not where.isdecimal():
                raise ChatError("/back takes a number of turns or a response's id")
            for _ in range(int(where or 1)):
                if self._last is None:
                    raise ChatError("that is before the beginning; the next turn is the first")
                self._last = self._client.response(self._last)["previous_response_id"]
        print("at the beginning" if self._last is None else f"after {self._last}")

    def _show_history(self) -> None:
        turns: list[str] = []
        id = self._last
        while id is not None:
            response = self._client.response(id)
            said = [*self._client.input_items(id), *response["output"]]
            turns.append("\n".join([f"--- {id}", *map(_as_line, said)]))
            id = response["previous_response_id"]
        print("\n".join(reversed(turns)) or "(nothing was said yet)")


class Client:
    """The few requests a chat needs. Raises ChatError with what the server said."""

    def __init__(self, url: str, key: str | None) -> None:
        url = url.rstrip("/")
        self._url = url if url.endswith("/v1") else f"{url}/v1"
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        timeout = httpx.Timeout(600, connect=5)
        self._http = httpx.Client(headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def first_model(self) -> str:
        models = self._get("/models")["data"]
        if not models:
            raise ChatError(f"{self._url} serves no model")
        return str(models[0]["id"])

    def response(self, id: str) -> dict[str, Any]:
        return self._get(f"/responses/{id}")

    def input_items(self, id: str) -> list[dict[str, Any]]:
        """The first hundred; a chat's turn has one."""
        query = {"order": "asc", "limit": "100"}
        items: list[dict[str, Any]] = self._get(f"/responses/{id}/input_items", query)["data"]
        return items

    def create(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of the new response."""
        parser = SSEParser()
        content = orjson.dumps({**body, "stream": True})
        headers = {"content-type": "application/json"}
        with (
            self._saying_what_failed(),
            self._http.stream(
                "POST", f"{self._url}/responses", content=content, headers=headers
            ) as response,
        ):
            if response.status_code != 200:
                raise ChatError(_refusal(response.status_code, response.read()))
            for chunk in response.iter_bytes():
                for event in parser.feed(chunk):
                    if event.data != b"[DONE]":
                        yield orjson.loads(event.data)

    def _get(self, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        with self._saying_what_failed():
            response = self._http.get(self._url + path, params=query)
        if response.status_code != 200:
            raise ChatError(_refusal(response.status_code, response.content))
        found: dict[str, Any] = orjson.loads(response.content)
        return found

    @contextlib.contextmanager
    def _saying_what_failed(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ChatError(f"{self._url}: {error or type(error).__name__}") from error


def _refusal(status: int, body: bytes) -> str:
    try:
        return f"{orjson.loads(body)['error']['message']} (HTTP {status})"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}, and not from a Responses API"


def _as_line(item: dict[str, Any]) -> str:
    if item["type"] != "message":
        return f"{item['type']}: {item.get('name') or item.get('output') or ''}"
    texts = [part.get("text") or part.get("refusal") or part["type"] for part in item["content"]]
    return f"{item['role']}: {' '.join(texts)}"


def _lines() -> Iterator[str]:
    """What the user says; a prompt only where somebody sees it."""
    prompt = "> " if sys.stdin.isatty() else ""
    if prompt:
        # Arrow keys and history at the prompt.
        with contextlib.suppress(ModuleNotFoundError):
            import readline  # noqa: F401 - importing it is what it takes
    while True:
        try:
            yield input(prompt).strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            print()
            return
