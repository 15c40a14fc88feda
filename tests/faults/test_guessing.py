"""Keys are not guessed: no answer, and no time that comparing takes, says how near a guess was."""

import hmac
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from live import live

from responses_mw import ResponsesApp, Settings
from responses_mw.cli.standalone import Standalone
from responses_mw.keys import PREFIX, digest_of
from responses_mw.seals import Sealer
from responses_mw.testing import EchoProvider
from stores import MemoryStore

MASTER = "sk-master-0123456789abcdef"
METRICS = "metrics-0123456789abcdef"
PATHS = ("/responses/resp_x", "/v1/models", "/usage", "/key/list", "/conversations/conv_x")


class Compared:
    """Stands before `hmac.compare_digest`, and notes what it was given."""

    def __init__(self, compare: Any) -> None:
        self._compare = compare
        self.sizes: list[tuple[int, int]] = []

    def __call__(self, one: Any, other: Any) -> bool:
        self.sizes.append((len(one), len(other)))
        return bool(self._compare(one, other))


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    it = Compared(hmac.compare_digest)
    monkeypatch.setattr(hmac, "compare_digest", it)
    return it


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(drain_s=1, metrics=True, metrics_key=METRICS)
    app = ResponsesApp(store=MemoryStore(), models={"echo": EchoProvider()}, settings=settings)
    async with (
        live(Standalone(app, key=MASTER)) as address,
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
    ):
        yield client


def bearer(key: str) -> dict[str, bytes]:
    return {"authorization": b"Bearer " + key.encode("latin-1")}


GUESSES = [
    MASTER[:-1], MASTER + "x", MASTER[0], MASTER.upper(), MASTER[::-1], f"{MASTER},{MASTER}",
    f'"{MASTER}"', "x", "x" * 8000, "\xff\xfe", "null", "*", "%00", PREFIX, PREFIX + "x" * 43,
    f"{PREFIX}' OR '1'='1",
]  # fmt: skip


async def test_every_guess_has_the_same_answer(http: httpx.AsyncClient, compared: Compared) -> None:
    for path in PATHS:
        answers = {
            (answer.status_code, answer.text)
            for guess in GUESSES
            for answer in [await http.get(path, headers=bearer(guess))]
        }
        ((status, _),) = answers
        assert status == 401
    assert compared.sizes == [(32, 32)] * len(PATHS) * len(GUESSES)
    assert (await http.get("/models", headers=bearer(MASTER))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": MASTER},
        {"authorization": f"Basic {MASTER}"},
        {"authorization": f"Bearer{MASTER}"},
        {"authorization": "Bearer"},
        {"authorization": f"Token Bearer {MASTER}"},
        {"x-api-key": MASTER},
        {"cookie": f"authorization=Bearer {MASTER}"},
        [("authorization", "Bearer x"), ("authorization", f"Bearer {MASTER}")],
    ],
)
async def test_a_key_is_taken_from_its_header_alone(http: httpx.AsyncClient, headers: Any) -> None:
    for path in (*PATHS, f"/models?api_key={MASTER}"):
        answer = await http.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_health_alone_is_open(http: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/v1/health/ready"):
        assert (await http.get(path)).status_code == 200
    for path in (
        "/health/live/",
        "/health",
        "/v1/health/live/x",
        "/v1//health/live",
        "/v1/v1/models",
    ):
        assert (await http.get(path)).status_code == 401
    for path in ("/health/../models", "/health/live/../../models", "/v1/health/live;/models"):
        raw = httpx.Request("GET", str(http.base_url), extensions={"target": path.encode()})
        assert (await http.send(raw)).status_code == 401


async def test_virtual_keys_are_looked_up_by_digest() -> None:
    """What is compared in the database and in memory is of no use to whoever guesses a key."""
    asked: list[bytes] = []

    class Watched(MemoryStore):
        async def key(self, digest: bytes) -> Any:
            asked.append(digest)
            return await super().key(digest)

    app = ResponsesApp(store=Watched(), models={"echo": EchoProvider()})
    async with (
        live(Standalone(app, key=MASTER)) as address,
        httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client,
    ):
        answer = await client.get("/models", headers=bearer(f"{PREFIX}guess"))
    assert answer.status_code == 401
    assert asked == [digest_of(f"{PREFIX}guess")]


def test_seals_are_compared_whole(compared: Compared) -> None:
    sealer = Sealer(b"k" * 32, "ann")
    seal = sealer.seal(None, [])
    for guess in (
        seal,
        seal[:-4],
        seal[:20],
        "rmw1.",
        "rmw1.AAAA",
        Sealer(b"k" * 32, "bob").seal(None, []),
    ):
        assert (sealer.open(guess) is None) == (guess is not seal)
    assert compared.sizes
    assert {own for _, own in compared.sizes} == {32}
