"""`prompt`: templates that the application registers, by id or by a function of its own."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest

from responses_mw.app import ResponsesApp
from responses_mw.errors import InvalidRequest
from responses_mw.prompts import Prompts
from responses_mw.settings import Settings
from responses_mw.testing import ScriptedProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.testing.providers import text_of
from responses_mw.turn import Turn
from stores import MemoryStore

PNG = "data:image/png;base64,iVBORw0KGgo="
TEMPLATES: Mapping[str, Any] = {
    "greet": {"model": "m", "instructions": "Greet {{ name }} as {{name}}.", "temperature": 0.5},
    "greet@2": {"instructions": "Greet {{name}} warmly.", "input": "It is {{day}}."},
    "look": {
        "model": "m",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is on it, {{name}}?"},
                    {"type": "input_text", "text": "{{picture}}"},
                ],
            }
        ],
    },
    "wrong": {"model": "m", "temperature": 9},
    "bold": {"model": "m", "previous_response_id": "resp_1", "store": False},
    "nameless": {"instructions": "Hm."},
}


class Asked:
    """An application with templates; `turn` is what the model was asked last."""

    def __init__(self, client: httpx2.AsyncClient, provider: ScriptedProvider) -> None:
        self._client = client
        self._provider = provider

    async def __call__(self, prompt: Any, **body: Any) -> Any:
        return (await self._client.post("/responses", json={"prompt": prompt, **body})).json()

    @property
    def turn(self) -> Turn:
        return self._provider.turns[-1]

    @property
    def items(self) -> list[str]:
        return [text_of(item) for item in self.turn.items]


async def asked(prompts: Prompts | None) -> AsyncIterator[Asked]:
    provider = ScriptedProvider("one", "two")
    settings = Settings(prompts=prompts, drain_s=1)
    app = ResponsesApp(store=MemoryStore(), models={"m": provider}, settings=settings)
    async with (
        app.lifespan(),
        httpx2.AsyncClient(transport=InProcessTransport(app), base_url="http://test") as client,
    ):
        yield Asked(client, provider)


@pytest.fixture
async def ask() -> AsyncIterator[Asked]:
    async for it in asked(TEMPLATES):
        yield it


async def test_a_template_stands_for_the_model_and_says_what_the_request_does_not(
    ask: Asked,
) -> None:
    made = await ask({"id": "greet", "variables": {"name": "Ann"}}, input="Hi.")
    assert ask.turn.instructions == made["instructions"] == "Greet Ann as Ann."
    assert made["temperature"] == 0.5
    assert made["prompt"] == {"id": "greet", "version": None, "variables": {"name": "Ann"}}
    assert ask.items == ["Hi."]


async def test_what_the_request_says_itself_counts(ask: Asked) -> None:
    made = await ask({"id": "greet", "variables": {"name": "Ann"}}, input="Hi.", temperature=1.5)
    assert made["temperature"] == 1.5


async def test_a_version_is_another_template_whose_input_goes_first(ask: Asked) -> None:
    variables = {"name": "Ann", "day": "Tuesday"}
    made = await ask({"id": "greet", "version": "2", "variables": variables}, model="m", input="!")
    assert ask.items == ["It is Tuesday.", "!"]
    assert made["prompt"]["version"] == "2"


async def test_a_template_may_be_all_of_the_input_and_take_pictures(ask: Asked) -> None:
    picture = {"type": "input_image", "image_url": PNG}
    await ask({"id": "look", "variables": {"name": "Ann", "picture": picture}})
    (item,) = ask.turn.items
    assert [part["type"] for part in item["content"]] == ["input_text", "input_image"]
    text = {"type": "input_text", "text": "a tree"}
    await ask({"id": "look", "variables": {"name": text, "picture": "see"}})
    assert ask.items == ["What is on it, a tree?see"]


async def test_a_chain_goes_on_from_what_a_template_said(ask: Asked) -> None:
    one = await ask({"id": "look", "variables": {"name": "Ann", "picture": "x"}})
    await ask({"id": "greet", "variables": {"name": "Bo"}}, input="So?",
              previous_response_id=one["id"])  # fmt: skip
    assert ask.items == ["What is on it, Ann?x", "one", "So?"]


@pytest.mark.parametrize(
    ("prompt", "body", "param", "code"),
    [
        ({"id": "unknown"}, {}, "prompt", "prompt_not_found"),
        ({"id": "greet", "version": "9"}, {}, "prompt", "prompt_not_found"),
        ({"id": "greet"}, {"input": "x"}, "prompt.variables", "missing_required_parameter"),
        (
            {"id": "greet", "variables": {"name": {"type": "input_image", "image_url": PNG}}},
            {"input": "x"},
            "prompt.variables",
            "invalid_value",
        ),
        ({"id": "wrong"}, {"input": "x"}, "temperature", "invalid_value"),
        ({"id": "nameless"}, {"input": "x"}, "model", "missing_required_parameter"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_named_and_nobody_is_asked(
    ask: Asked, prompt: Any, body: dict[str, Any], param: str, code: str
) -> None:
    error = (await ask(prompt, **body))["error"]
    assert (error["param"], error["code"]) == (param, code)


async def test_a_template_has_no_say_in_what_is_kept_or_gone_on_from(ask: Asked) -> None:
    made = await ask({"id": "bold"}, input="Hi.")
    assert (made["store"], made["previous_response_id"]) == (True, None)


async def test_an_application_without_templates_refuses_the_prompt() -> None:
    async for ask in asked(None):
        error = (await ask({"id": "greet"}, model="m", input="Hi."))["error"]
        assert error["param"] == "prompt"


async def test_templates_may_come_from_a_function_or_a_coroutine() -> None:
    def source(id: str, version: str | None, variables: Mapping[str, Any]) -> Any:
        if id == "forbidden":
            raise InvalidRequest("Not for you.", param="prompt", code="forbidden")
        return {"model": "m", "input": f"{id} {version} {variables['a']}"} if id == "p" else None

    async def later(id: str, version: str | None, variables: Mapping[str, Any]) -> Any:
        return source(id, version, variables)

    for prompts in (source, later):
        async for ask in asked(prompts):
            await ask({"id": "p", "version": "3", "variables": {"a": "b"}})
            assert ask.items == ["p 3 b"]
            assert (await ask({"id": "q"}))["error"]["code"] == "prompt_not_found"
            assert (await ask({"id": "forbidden"}))["error"]["code"] == "forbidden"
