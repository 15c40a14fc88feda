"""A configuration file names hooks and callbacks in Python, and those of LiteLLM's names that this
server has."""

from pathlib import Path
from typing import Any

import openai
import pytest

from responses_mw import InvalidRequest, ResponsesApp, Settings
from responses_mw.cli.serving import Serving
from responses_mw.config import load
from responses_mw.errors import ConfigurationError
from responses_mw.records import Caller, TurnRecord
from responses_mw.testing import openai_client
from responses_mw.turn import Turn

HERE = f"python/{__name__}"
told: list[tuple[str, str]] = []


class Audit:
    def on_start(self, record: TurnRecord) -> None:
        told.append(("start", record.status))

    async def on_success(self, record: TurnRecord) -> None:
        told.append(("success", record.status))

    def on_failure(self, record: TurnRecord) -> None:
        told.append(("failure", record.status))


audit = Audit()


async def paged(record: TurnRecord) -> None:
    told.append(("paged", record.error or ""))


class Guard:
    def before_turn(self, turn: Turn, caller: Caller) -> None:
        if "secret" in str(list(turn.items)):
            raise InvalidRequest("Not here.", code="refused")


shared_guard = Guard()


def shout(record: TurnRecord) -> str:
    return record.id


number = 7


def said(general: dict[str, Any] | None = None, **litellm: Any) -> dict[str, Any]:
    params = {"model": "python/responses_mw.testing:EchoProvider"}
    return {
        "model_list": [{"model_name": "echo", "litellm_params": params}],
        "general_settings": {"database_url": "memory://", **(general or {})},
        "litellm_settings": litellm,
    }


async def hear(source: dict[str, Any], *inputs: str) -> list[tuple[str, str]]:
    """What callbacks of it are told of these requests."""
    told.clear()
    app = ResponsesApp.from_config(source)
    async with app.lifespan(), openai_client(app) as client:
        for asked in inputs:
            try:
                await client.responses.create(model="echo", input=asked)
            except openai.BadRequestError:
                told.append(("refused", asked))
    return sorted(told)


GUARDED = {"hooks": [f"{HERE}:Guard"]}


@pytest.mark.parametrize("hook", ["Guard", "shared_guard"])
async def test_a_hook_of_the_file_sees_each_turn(hook: str) -> None:
    heard = await hear(said({"hooks": [f"{HERE}:{hook}"]}), "hi", "a secret")
    assert heard == [("refused", "a secret")]


async def test_a_callback_is_told_of_what_the_key_that_names_it_says() -> None:
    async def told_of(**litellm: Any) -> set[str]:
        heard = await hear(said(GUARDED, **litellm), "hi", "a secret")
        return {event for event, _ in heard} - {"refused"}

    for name in (f"{HERE}:Audit", f"{HERE}:audit"):
        assert await told_of(callbacks=[name]) == {"start", "success", "failure"}
        assert await told_of(success_callback=[name]) == {"success"}
        assert await told_of(failure_callback=[name]) == {"failure"}
        both = {"success_callback": [name], "failure_callback": [name]}
        assert await told_of(**both) == {"success", "failure"}


async def test_a_function_may_be_a_callback_for_one_event() -> None:
    heard = await hear(said(GUARDED, failure_callback=[f"{HERE}:paged"]), "hi", "a secret")
    assert heard == [("paged", "refused"), ("refused", "a secret")]


async def test_one_that_is_named_twice_is_told_once() -> None:
    name = f"{HERE}:Audit"
    heard = await hear(said(success_callback=[name], callbacks=[name]), "hi")
    assert heard == [("start", "in_progress"), ("success", "completed")]


async def test_the_applications_own_come_after_the_files() -> None:
    class Answering:
        def before_turn(self, turn: Turn, caller: Caller) -> str:
            return "by hand"

    app = ResponsesApp.from_config(said(GUARDED), hooks=[Answering()])
    async with app.lifespan(), openai_client(app) as client:
        assert (await client.responses.create(model="echo", input="hi")).output_text == "by hand"
        with pytest.raises(openai.BadRequestError, match="Not here"):
            await client.responses.create(model="echo", input="a secret")


def test_prometheus_and_otel_are_switched_on_by_their_names() -> None:
    loaded = load(
        said({"master_key": "sk-1"}, success_callback=["prometheus", "otel"], callbacks=["otel"])
    )
    assert loaded.warnings == ()
    assert (loaded.settings.metrics, loaded.settings.otel) == (True, True)
    assert loaded.settings.metrics_key == "sk-1"
    nothing = load(said()).settings
    assert (nothing.metrics, nothing.otel) == (False, False)


async def test_a_server_counts_and_calls_what_its_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
    file = tmp_path / "config.yaml"
    file.write_text(
        "model_list:\n"
        "  - model_name: echo\n"
        "    litellm_params: {model: 'python/responses_mw.testing:EchoProvider'}\n"
        f"litellm_settings:\n  callbacks: [prometheus, '{HERE}:Audit']\n"
        f"general_settings:\n  hooks: ['{HERE}:Guard']\n"
    )
    serving = Serving.resolve(config_file=file, store="memory://", key="sk-2")
    assert (serving.settings.metrics, serving.settings.metrics_key) == (True, "sk-2")
    app = serving.standalone()
    told.clear()
    async with app._responses.lifespan(), openai_client(app, api_key="sk-2") as client:
        await client.responses.create(model="echo", input="hi")
        with pytest.raises(openai.BadRequestError, match="Not here"):
            await client.responses.create(model="echo", input="a secret")
        counted = await client._client.get(
            "http://test/metrics", headers={"authorization": "Bearer sk-2"}
        )
    assert 'responses_mw_requests_total{deployment="echo",model="echo",status="completed"} 1.0' in (
        counted.text
    )
    assert f'callback="{__name__}.Audit"' in counted.text
    assert {event for event, _ in told} == {"start", "success", "failure"}
    monkeypatch.setenv("RESPONSES_MW_METRICS", "off")
    assert not Serving.resolve(config_file=file, store="memory://").settings.metrics


def test_other_vendors_are_warned_of_by_name() -> None:
    loaded = load(said(success_callback=["langfuse"], callbacks=["custom_callbacks.handler"]))
    assert [warning.partition(":")[0] for warning in loaded.warnings] == [
        "litellm_settings.success_callback",
        "litellm_settings.callbacks",
    ]
    assert "'langfuse' is not supported and has no effect" in loaded.warnings[0]
    assert "python/package.module:attribute" in loaded.warnings[1]
    assert (loaded.callbacks, loaded.hooks, loaded.settings) == ((), (), Settings())


@pytest.mark.parametrize(
    ("general", "litellm", "message"),
    [
        ({}, {"callbacks": [f"{HERE}:number"]}, "has none of the methods on_start, on_first_delta"),
        ({}, {"callbacks": [f"{HERE}:shout"]}, "has none of the methods on_start"),
        ({}, {"failure_callback": [f"{HERE}:Guard"]}, "has none of the methods on_failure"),
        ({}, {"callbacks": ["python/absent_module:x"]}, "absent_module cannot be imported"),
        ({}, {"callbacks": {}}, "callbacks is of type dict; a list of texts is needed"),
        ({"hooks": [f"{HERE}:Audit"]}, {}, "has none of the methods before_turn, on_delta"),
        ({"hooks": [f"{HERE}:absent"]}, {}, "general_settings.hooks: module"),
        ({"hooks": ["presidio"]}, {}, "python/package.module:attribute is needed, not 'presidio'"),
    ],
)
def test_what_is_neither_stops_the_start(general: Any, litellm: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(said(general, **litellm))
    assert message in raised.value.message
    assert "\n" not in raised.value.message
