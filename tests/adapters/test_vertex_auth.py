"""Google's credentials, against a token server on this machine."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from gemini_turns import message, turn
from upstream import Exchange, upstream

from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.gemini_encode import VERTEX_AI
from responses_mw.adapters.vertex import base_url
from responses_mw.deltas import Stopped
from responses_mw.errors import ConfigurationError, UpstreamUnavailable
from responses_mw.google_auth import (
    FILE_VARIABLE,
    LOADERS,
    PROJECT_VARIABLES,
    GoogleAuth,
    google_project,
)
from responses_mw.transport import HTTPProvider

ASKED = ("POST", "http://127.0.0.1/", {}, b"{}")


class TokenServer:
    """Gives out numbered tokens; `lives` is how many seconds the next one does."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.lives = 3600
        self.status = 200
        self.waits = 0.0
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                tokens.asked.append(parse_qs(body))
                time.sleep(tokens.waits)
                answer = json.dumps(tokens.answer()).encode()
                self.send_response(tokens.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"

    def answer(self) -> dict[str, Any]:
        if self.status != 200:
            return {"error": "invalid_grant", "error_description": "who is that?"}
        token = f"token-{len(self.asked)}"
        return {"access_token": token, "expires_in": self.lives, "token_type": "Bearer"}


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.server.shutdown()
    server.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def account(tokens: TokenServer, private_key: str) -> str:
    """The JSON of a service account whose tokens come from our server."""
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "its-project",
            "private_key_id": "k",
            "private_key": private_key,
            "client_email": "robot@its-project.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": tokens.url,
        }
    )


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for variable in (FILE_VARIABLE, *PROJECT_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


async def bearer(auth: GoogleAuth) -> str:
    return (await auth(*ASKED))["authorization"].removeprefix("Bearer ")


async def test_token_of_a_service_account_is_asked_for_once(
    account: str, tokens: TokenServer
) -> None:
    auth = GoogleAuth(credentials=account)
    assert [await bearer(auth), await bearer(auth)] == ["token-1", "token-1"]
    (asked,) = tokens.asked
    assert asked["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]


async def test_credentials_may_be_a_file(account: str, tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(account)
    assert await bearer(GoogleAuth(credentials=str(path))) == "token-1"


async def test_default_credentials_are_found(
    account: str, tmp_path: Path, nothing_set: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "account.json"
    path.write_text(account)
    nothing_set.setenv(FILE_VARIABLE, str(path))
    assert await bearer(GoogleAuth()) == "token-1"


async def test_token_is_renewed_before_it_expires(account: str, tokens: TokenServer) -> None:
    tokens.lives = 60  # within the time before expiry at which google-auth wants a new one
    auth = GoogleAuth(credentials=account)
    assert [await bearer(auth), await bearer(auth)] == ["token-1", "token-2"]


async def test_token_that_still_holds_is_used_when_no_new_one_is_to_be_had(
    account: str, tokens: TokenServer
) -> None:
    tokens.lives = 60
    auth = GoogleAuth(credentials=account)
    await bearer(auth)
    tokens.status = 400
    assert await bearer(auth) == "token-1"


async def test_many_at_once_ask_once_and_the_loop_goes_on(
    account: str, tokens: TokenServer
) -> None:
    tokens.waits = 0.2
    auth = GoogleAuth(credentials=account)
    asking = [asyncio.create_task(bearer(auth)) for _ in range(20)]
    ticks = 0
    while not all(task.done() for task in asking):
        await asyncio.sleep(0.01)
        ticks += 1
    assert {task.result() for task in asking} == {"token-1"}
    assert len(tokens.asked) == 1
    assert ticks > 5


async def test_token_that_still_holds_is_used_while_another_is_being_fetched(
    account: str, tokens: TokenServer
) -> None:
    tokens.lives = 60
    auth = GoogleAuth(credentials=account)
    await bearer(auth)
    tokens.waits = 0.2
    first = asyncio.create_task(bearer(auth))
    await asyncio.sleep(0.05)
    assert await bearer(auth) == "token-1"
    assert await first == "token-2"


async def test_refused_credentials_are_an_upstream_that_is_not_there(
    account: str, tokens: TokenServer, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.status = 400
    with pytest.raises(UpstreamUnavailable, match=r"no Google token .*RefreshError") as refused:
        await bearer(GoogleAuth(credentials=account))
    assert refused.value.provider == "vertex_ai"
    assert "who is that?" not in str(refused.value)
    assert "who is that?" in caplog.text


@pytest.mark.parametrize("kind", LOADERS)
def test_each_kind_of_credentials_is_one_that_google_auth_loads(kind: str) -> None:
    module, loader = LOADERS[kind]
    assert callable(getattr(import_module(module).Credentials, loader))


async def test_federated_credentials_are_exchanged(tokens: TokenServer, tmp_path: Path) -> None:
    subject = tmp_path / "subject"
    subject.write_text("who I am elsewhere")
    federated = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": tokens.url,
        "credential_source": {"file": str(subject)},
    }
    assert await bearer(GoogleAuth(credentials=json.dumps(federated))) == "token-1"
    (asked,) = tokens.asked
    assert asked["subject_token"] == ["who I am elsewhere"]


@pytest.mark.parametrize("credentials", ["/nowhere/account.json", "{", "[]", '{"type": "?"}'])
async def test_credentials_that_are_none_are_an_upstream_that_is_not_there(
    credentials: str,
) -> None:
    with pytest.raises(UpstreamUnavailable, match="no Google token"):
        await bearer(GoogleAuth(credentials=credentials))


async def test_explicit_token_is_borne_as_it_is() -> None:
    auth = GoogleAuth(token="ya29.secret", quota_project="payer")
    assert await auth(*ASKED) == {
        "authorization": "Bearer ya29.secret",
        "x-goog-user-project": "payer",
    }
    assert "secret" not in repr(auth)


async def test_quota_project_of_the_credentials_is_named(account: str) -> None:
    paid = json.dumps({**json.loads(account), "quota_project_id": "payer"})
    headers = await GoogleAuth(credentials=paid, quota_project="other")(*ASKED)
    assert headers["x-goog-user-project"] == "other"


# --- the project


def test_project_is_the_credentials_or_the_environment_s(
    account: str, tmp_path: Path, nothing_set: pytest.MonkeyPatch
) -> None:
    assert google_project(account) == "its-project"
    with pytest.raises(ConfigurationError, match="vertex_project"):
        google_project()
    path = tmp_path / "account.json"
    path.write_text(account)
    nothing_set.setenv(FILE_VARIABLE, str(path))
    assert google_project() == "its-project"
    nothing_set.setenv("GOOGLE_CLOUD_PROJECT", "another")
    assert google_project() == "another"
    assert google_project(account) == "its-project"


def test_unreadable_credentials_name_no_project(nothing_set: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: FileNotFoundError"):
        google_project("/nowhere/account.json")


def test_missing_extra_is_said_at_the_start() -> None:
    script = (
        "import sys; sys.modules['google.auth'] = None\n"
        "from responses_mw.errors import ConfigurationError\n"
        "from responses_mw.google_auth import GoogleAuth\n"
        "GoogleAuth(token='t')\n"
        "try: GoogleAuth()\n"
        "except ConfigurationError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'responses-mw[vertex]'" in ran.stdout


# --- all of it


@pytest.fixture
async def provider_of() -> AsyncIterator[Any]:
    made: list[HTTPProvider] = []

    def make(url: str, auth: GoogleAuth) -> HTTPProvider:
        adapter = Gemini(name="vertex_ai", surface=VERTEX_AI)
        made.append(HTTPProvider(adapter, base_url=base_url("p", "eu", host=url), auth=auth))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()


async def test_gemini_on_vertex_is_asked_with_the_token(account: str, provider_of: Any) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.sse()
        parts = [{"text": "Hi"}]
        await exchange.event({"candidates": [{"content": {"parts": parts}}]})
        await exchange.event({"candidates": [{"finishReason": "STOP"}]})
        exchange.writer.close()

    async with upstream(answer) as server:
        provider = provider_of(server.url, GoogleAuth(credentials=account))
        asked = turn(message("user", "Hi"), model="gemini-2.5-flash", stream=True)
        deltas = [delta async for delta in provider.stream(asked)]
    assert deltas[-1] == Stopped()
    (exchange,) = server.exchanges
    assert exchange.headers["authorization"] == "Bearer token-1"
    assert exchange.path == (
        "/v1beta1/projects/p/locations/eu/publishers/google/models/"
        "gemini-2.5-flash:streamGenerateContent?alt=sse"
    )
