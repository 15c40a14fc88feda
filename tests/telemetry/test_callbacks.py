"""Callbacks: what they are told, and that they can hold nothing up."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from responses_mw.app import ResponsesApp
from responses_mw.deltas import TextDelta
from responses_mw.errors import ConfigurationError, UpstreamUnavailable
from responses_mw.records import TurnRecord
from responses_mw.settings import Settings
from responses_mw.telemetry.callbacks import Callbacks
from responses_mw.testing import ScriptedProvider, openai_client
from stores import MemoryStore


class Sync:
    def __init__(self) -> None:
        self.told: list[tuple[str, TurnRecord]] = []
        self.thread = ""

    def on_start(self, record: TurnRecord) -> None:
        self.thread = threading.current_thread().name
        self.told.append(("start", record))

    def on_first_delta(self, record: TurnRecord) -> None:
        self.told.append(("first delta", record))

    def on_success(self, record: TurnRecord) -> None:
        self.told.append(("success", record))

    def on_failure(self, record: TurnRecord) -> None:
        self.told.append(("failure", record))


class Async(Sync):
    async def on_success(self, record: TurnRecord) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.told.append(("success", record))


async def ask(*callbacks: Any, answers: Any = ("one two",), **options: Any) -> ResponsesApp:
    app = ResponsesApp(
        store=MemoryStore(),
        models={"m": ScriptedProvider(*answers)},
        callbacks=callbacks,
        **options,
    )
    async with app.lifespan(), openai_client(app) as client:
        for _ in answers:
            with contextlib.suppress(openai.InternalServerError):
                await client.responses.create(model="m", input="hi")
    return app


@pytest.mark.parametrize("kind", [Sync, Async])
async def test_a_callback_is_told_what_happened_as_it_was_then(kind: type[Sync]) -> None:
    it = kind()
    broken = [TextDelta("half"), UpstreamUnavailable("it broke")]
    await ask(it, answers=("one two", UpstreamUnavailable("no"), broken))

    first = [(event, record.status) for event, record in it.told[:3]]
    assert first == [
        ("start", "in_progress"),
        ("first delta", "in_progress"),
        ("success", "completed"),
    ]
    assert [event for event, _ in it.told[3:]] == [
        *("start", "failure"),
        *("start", "first delta", "failure"),
    ]
    assert it.told[0][1].ended_s is None
    assert it.told[2][1].usage is not None
    assert it.thread != threading.main_thread().name


async def test_a_callback_that_blocks_costs_no_request_anything() -> None:
    free = threading.Event()

    class Blocking:
        def on_start(self, record: TurnRecord) -> None:
            free.wait(10)

    class Hanging:
        async def on_start(self, record: TurnRecord) -> None:
            while not free.is_set():
                await asyncio.sleep(0.01)

    app = ResponsesApp(
        store=MemoryStore(),
        models={"m": ScriptedProvider(*["a"] * 5)},
        callbacks=[Blocking(), Hanging()],
    )
    async with app.lifespan(), openai_client(app) as client:
        began = time.monotonic()
        for _ in range(5):
            await client.responses.create(model="m", input="hi")
        assert time.monotonic() - began < 1
        free.set()


async def test_what_a_slow_callback_cannot_take_is_dropped_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    free, told = threading.Event(), list[str]()

    class Slow:
        def on_start(self, record: TurnRecord) -> None:
            free.wait(10)
            told.append(record.id)

    quick = Sync()
    callbacks = Callbacks([Slow(), quick], capacity=3)
    app = ResponsesApp(
        store=MemoryStore(), models={"m": ScriptedProvider(*["a"] * 10)}, observers=[callbacks]
    )
    async with app.lifespan(), openai_client(app) as client:
        for _ in range(10):
            await client.responses.create(model="m", input="hi")
            await asyncio.sleep(0.01)
        slow = callbacks.mailboxes[0]
        assert (slow.waiting, slow.dropped) == (3, 6)
        free.set()
    assert len(told) == 4
    assert len(quick.told) == 30
    assert caplog.text.count("is too slow") == 3  # 1, 2 and 4


async def test_what_a_callback_raises_is_counted_and_goes_no_further(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Raising:
        def on_start(self, record: TurnRecord) -> None:
            raise ValueError("sync")

    class RaisingLater:
        async def on_success(self, record: TurnRecord) -> None:
            raise ValueError("async")

    it = Sync()
    callbacks = Callbacks([Raising(), RaisingLater(), it])
    app = ResponsesApp(
        store=MemoryStore(), models={"m": ScriptedProvider("a", "b", "c")}, observers=[callbacks]
    )
    async with app.lifespan(), openai_client(app) as client:
        for _ in range(3):
            assert (await client.responses.create(model="m", input="hi")).status == "completed"
    assert [mailbox.failed for mailbox in callbacks.mailboxes] == [3, 3, 0]
    assert len(it.told) == 9
    assert caplog.text.count("raised, ") == 4


def test_a_callback_without_a_method_of_one_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"none of the methods on_start"):
        ResponsesApp(
            store="memory://", models={"m": ScriptedProvider()}, callbacks=[lambda record: None]
        )


def test_a_callback_that_never_returns_does_not_keep_the_process() -> None:
    program = """
import asyncio, threading
from responses_mw.telemetry import callbacks
callbacks.FLUSH_S = 0.1
from responses_mw.app import ResponsesApp
from responses_mw.testing import ScriptedProvider, openai_client
class Never:
    def on_start(self, record):
        threading.Event().wait()
async def main():
    models = {"m": ScriptedProvider("a")}
    app = ResponsesApp(store="memory://", models=models, callbacks=[Never()])
    async with app.lifespan(), openai_client(app) as client:
        print((await client.responses.create(model="m", input="hi")).output_text)
asyncio.run(main())
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20
    )
    assert found.stdout == "a\n"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution with a callback, as an installer would have laid it down."""
    (tmp_path / "told_plugin.py").write_text(
        "told = []\n"
        "class Telling:\n"
        "    def on_success(self, record):\n"
        "        told.append(record.id)\n"
    )
    info = tmp_path / "told_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: told-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[responses_mw.callbacks]\ntelling = told_plugin:Telling\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return info / "entry_points.txt"


async def test_an_installed_plugin_is_told_unless_a_setting_says_no(plugin: Path) -> None:
    import told_plugin  # type: ignore[import-not-found]  # it is made by the fixture

    await ask(settings=Settings(plugins=False))
    assert told_plugin.told == []
    await ask()
    assert len(told_plugin.told) == 1


def test_a_plugin_that_cannot_be_loaded_is_one_clear_line(plugin: Path) -> None:
    plugin.write_text("[responses_mw.callbacks]\ntelling = told_plugin:Missing\n")
    with pytest.raises(ConfigurationError, match=r"plugin 'telling' \(told_plugin:Missing\)"):
        ResponsesApp(store="memory://", models={"m": ScriptedProvider()})
