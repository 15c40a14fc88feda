"""Workers that share a Redis know of each other's cooldowns, limits and affinities; without it each
goes on by itself. A real server, started here."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from routed import Answered, Time, ask, at, record, router, saying, status, upstreams

from responses_mw.errors import UpstreamRefused
from responses_mw.records import Caller
from responses_mw.router import Router

pytest.importorskip("redis", reason="redis is not installed")
SERVER = shutil.which("redis-server")
if SERVER is None:
    pytest.skip("redis-server is not installed", allow_module_level=True)


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Its URL and its process. On a socket of its own: no port to be taken by others."""
    path = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    with subprocess.Popen([str(SERVER), *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "ready to accept connections" in line.lower():
                break
        yield f"unix://{path}", process
        process.terminate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@contextlib.asynccontextmanager
async def workers(
    url: str, models: dict[str, Any], n: int = 2, **rules: Any
) -> AsyncIterator[list[Router]]:
    async with contextlib.AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(router(models, redis_url=url, **rules))
            for _ in range(n)
        ]
        yield made
        await _forget(url)


async def _forget(url: str) -> None:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    async with Redis.from_url(url) as redis:
        with contextlib.suppress(RedisError):  # some tests end it
            await redis.flushall()


async def test_what_cools_down_for_one_worker_does_for_all(server: str) -> None:
    async with upstreams(status(500), saying("b")) as (a, b):
        models = {"m": [at(a, "a", order=1), at(b, "b")]}
        rules = {"allowed_fails": 0, "cooldown_s": 0.4}
        async with workers(server, models, **rules) as (one, two):
            await ask(one)
            assert (await ask(two)).asked == ["b"]
            assert two.health["a"] == "cooling"
            await asyncio.sleep(0.45)
            a._answers = [saying("a")]
            assert (await ask(two)).by == "a"
            assert (await ask(one)).by == "a"
            assert one.health["a"] == two.health["a"] == "healthy"


async def test_limits_hold_over_all_workers_at_once(server: str) -> None:
    async with upstreams(saying("a")) as (a,):
        rules = {"strategy": "usage-based-routing"}
        async with workers(server, {"m": [at(a, "limited", rpm=7)]}, 3, **rules) as made:
            turns = [ask(made[n % 3]) for n in range(30)]
            ended = await asyncio.gather(*turns, return_exceptions=True)
    refused = [error for error in ended if isinstance(error, UpstreamRefused)]
    # A new minute may begin between two of them.
    assert len(a.exchanges) in (7, 14)
    assert len(refused) == 30 - len(a.exchanges)


async def test_tokens_are_counted_over_all_workers(server: str) -> None:
    async with upstreams(saying("a", tokens=60)) as (a,):
        models = {"m": [at(a, "tokens", tpm=100)]}
        async with workers(server, models, strategy="usage-based-routing") as (one, two):

            async def ask_all() -> None:
                for worker in (one, two, one, two, one):  # a minute may begin in between
                    await ask(worker)

            with pytest.raises(UpstreamRefused) as refused:
                await ask_all()
    assert refused.value.status == 429


async def test_a_worker_that_was_idle_knows_what_is_spent(server: str) -> None:
    async with upstreams(saying("a", tokens=120)) as (a,):
        models = {"m": [at(a, "a", tpm=100)]}
        rules = {"strategy": "usage-based-routing", "time": Time()}
        async with workers(server, models, **rules) as (one, two):
            await ask(one)
            with pytest.raises(UpstreamRefused):
                await ask(two)
    assert len(a.exchanges) == 1


async def test_a_session_stays_where_it_was_on_any_worker(server: str) -> None:
    async with upstreams(*[saying(id) for id in "abc"]) as places:
        models = {"m": [at(place, id) for place, id in zip(places, "abc", strict=True)]}
        async with workers(server, models, 3, checks=["session_affinity"]) as made:

            async def by(worker: Router, session: str) -> str | None:
                caller = Caller("ann", session=session)
                answered: Answered = await ask(worker, noted=record(caller=caller))
                return answered.by

            for session in ("s", "t", "u", "v"):
                first = await by(made[0], session)
                assert [await by(worker, session) for worker in made] == [first] * 3


async def test_without_redis_each_worker_goes_on_by_itself(tmp_path: Any, caplog: Any) -> None:
    async with upstreams(saying("a")) as (a,):
        rules = {"strategy": "usage-based-routing", "checks": ["session_affinity"]}
        models = {"m": [at(a, "a", rpm=2)]}
        async with workers(f"unix://{tmp_path}/none.sock", models, 1, **rules) as (one,):
            await ask(one)
            await ask(one)
            with pytest.raises(UpstreamRefused):
                await ask(one)
    said = [line.getMessage() for line in caplog.records if "Redis did not answer" in line.message]
    assert len(said) == 1


async def test_a_redis_that_stops_is_survived(tmp_path: Path) -> None:
    with redis_server(tmp_path) as (url, process):
        async with (
            upstreams(saying("a")) as (a,),
            workers(url, {"m": [at(a, "a")]}, 1) as (one,),
        ):
            assert (await ask(one)).text == "a"
            process.kill()
            process.wait()
            assert (await ask(one)).text == "a"


@pytest.mark.parametrize("garbage", ["x", "", "nan", "-inf", "1e999", b"\xff\xfe", "-7"])
async def test_what_somebody_else_wrote_into_redis_breaks_no_turn(
    server: str, garbage: str | bytes
) -> None:
    from redis.asyncio import Redis

    async with upstreams(saying("a")) as (a,):
        rules = {"strategy": "usage-based-routing", "checks": ["session_affinity"]}
        async with workers(server, {"m": [at(a, "a", rpm=100)]}, 1, **rules) as (one,):
            session = Caller("ann", session="s")
            await ask(one, noted=record(caller=session))
            async with Redis.from_url(server) as redis:
                names = [*await redis.keys("rmw:*"), "rmw:cool:a"]
                await redis.mset(dict.fromkeys(names, garbage))
            for _ in range(2):
                assert (await ask(one, noted=record(caller=session))).by == "a"
