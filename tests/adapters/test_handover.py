"""A conversation moves between all five wire formats, at every turn and back, and stays whole.

Text, thoughts, two calls at once and an image go through the whole application, its store or a
client that keeps the conversation itself, and real sockets. Every request is judged by the official
SDK of the upstream that it reaches.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import permutations
from typing import Any

import pytest
from handover_formats import FORMATS
from handover_scenes import PLACES, Format, Scene
from openai import AsyncOpenAI
from upstream import Exchange, Upstream, upstream

from responses_mw.app import ResponsesApp
from responses_mw.router import Deployment
from responses_mw.testing import openai_client
from responses_mw.transport import HTTPProvider
from stores import MemoryStore

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
IMAGE = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
LOOK: Any = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    "strict": False,
}
PATTERNS = ("ABAB", "AABA")
"""Who answers which scene. Calls are pending after the first and the third."""

MOVES = [
    "".join(pattern).replace("A", f"{a} ").replace("B", f"{b} ").split()
    for a, b in permutations(FORMATS, 2)
    for pattern in PATTERNS
]


class Theatre:
    """The application over five upstreams; each answers the scene that is being played."""

    def __init__(self) -> None:
        self.step = 0
        self.hosted: tuple[Any, ...] = ()
        self.upstreams: dict[str, Upstream] = {}
        self.client: AsyncOpenAI

    async def open(self, stack: AsyncExitStack) -> None:
        models = {}
        for name, format in FORMATS.items():
            self.upstreams[name] = it = await stack.enter_async_context(
                upstream(self._answer(name, format))
            )
            provider = HTTPProvider(format.adapter, base_url=it.url)
            models[name] = Deployment(provider, format.model)
        app = ResponsesApp(store=MemoryStore(), models=models)
        await stack.enter_async_context(app.lifespan())
        self.client = await stack.enter_async_context(openai_client(app))

    def _answer(self, name: str, format: Format) -> Any:
        async def answer(exchange: Exchange) -> None:
            await format.answer(exchange, Scene(name, self.step, self.hosted))

        return answer

    async def play(self, cast: list[str], *, stored: bool, stream: bool) -> None:
        """Every scene's request is checked, and so is what its answer became."""
        said: list[Any] = []
        last: Any = None
        for step, name in enumerate(cast, start=1):
            self.step = step
            added = asked(step, last)
            said += added
            options: Any = {"previous_response_id": last and last.id, "input": added}
            if not stored:
                options = {"input": said, "include": ["reasoning.encrypted_content"]}
            last = await self._say(name, stream=stream, store=stored, **options)
            said += [item.model_dump(exclude_none=True) for item in last.output]
            check_answer(last, Scene(name, step))
            exchange = self.upstreams[name].exchanges[-1]
            FORMATS[name].check(exchange)
            check_story(exchange.body.decode(), cast[: step - 1])
            check_signatures(exchange.body.decode(), name, cast[: step - 1])

    async def _say(self, model: str, *, stream: bool, **options: Any) -> Any:
        options |= {"model": model, "tools": [LOOK], "reasoning": {"effort": "low"}}
        if not stream:
            return await self.client.responses.create(**options)
        final = None
        async for event in await self.client.responses.create(**options, stream=True):
            if event.type == "response.completed":
                final = event.response
        assert final is not None
        return final


def asked(step: int, last: Any) -> list[Any]:
    """What the user says at a step: a question with an image, or the outputs of both calls."""
    if step % 2 == 1:
        words = {"type": "input_text", "text": f"user asks {step}."}
        return [{"type": "message", "role": "user", "content": [words, IMAGE]}]
    calls = [item for item in last.output if item.type == "function_call"]
    texts = [f"result {step} at {place}." for place in PLACES]
    outputs = [texts[0], [{"type": "input_text", "text": texts[1]}, IMAGE]]
    answered = zip(calls, outputs, strict=True)
    pairs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": output}
        for call, output in answered
    ]
    return pairs[::-1]  # in the order in which tools happen to finish


def check_answer(response: Any, scene: Scene) -> None:
    assert response.output_text == scene.text
    calls = [item for item in response.output if item.type == "function_call"]
    assert len({call.call_id for call in calls}) == (len(PLACES) if scene.calls else 0)
    # A second one may carry the whole turn, for a client that keeps it.
    thought = next(item for item in response.output if item.type == "reasoning")
    assert [part.text for part in thought.summary] == [scene.thought]


def check_story(body: str, played: list[str]) -> None:
    """All that was said is there, in order; only results of one turn may change places."""
    places: list[int] = []
    for step, name in enumerate(played, start=1):
        asked_now = [f"user asks {step}."]
        if step % 2 == 0:
            asked_now = [f"result {step} at {place}." for place in PLACES]
        places += sorted(body.index(text) for text in asked_now)
        places.append(body.index(Scene(name, step).text))
    assert places == sorted(places)
    assert body.count(PNG) == 1 + len(played)  # each question and each pair of results has one


def check_signatures(body: str, name: str, played: list[str]) -> None:
    """Signed thoughts go back to whoever signed them, and to nobody else."""
    for step, author in enumerate(played, start=1):
        scene = Scene(author, step)
        if author != name:
            assert scene.signature not in body
        elif not _may_forget(name, played):
            assert scene.signature in body


def _may_forget(name: str, played: list[str]) -> bool:
    """Claude with a budget has to think before its call: results of a foreign call turn thinking
    off, and thoughts are left out then."""
    return name in ("anthropic", "bedrock") and len(played) % 2 == 1 and played[-1] != name


HOSTED = (
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "weather at home"},
    },
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "code": "print(6 * 7)",
        "container_id": "cntr_1",
        "outputs": [{"type": "logs", "logs": "forty-two"}],
    },
    {
        "type": "mcp_call",
        "id": "mcp_1",
        "status": "completed",
        "server_label": "s",
        "name": "lookup",
        "arguments": "{}",
        "output": "found it",
        "error": None,
    },
)


@pytest.fixture
async def theatre() -> AsyncIterator[Theatre]:
    async with AsyncExitStack() as stack:
        it = Theatre()
        await it.open(stack)
        yield it


@pytest.mark.untraced
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "client"])
@pytest.mark.parametrize("cast", MOVES, ids=lambda cast: "-".join(cast))
async def test_a_conversation_moves_between_two_formats_and_back(
    theatre: Theatre, cast: list[str], stored: bool, stream: bool
) -> None:
    await theatre.play(cast, stored=stored, stream=stream)


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "client"])
async def test_a_conversation_visits_all_five_formats_and_returns(
    theatre: Theatre, stored: bool
) -> None:
    names = list(FORMATS)
    await theatre.play([*names, *names[::-1]], stored=stored, stream=True)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "responses"])
async def test_what_hosted_tools_did_for_one_model_is_told_to_the_next(
    theatre: Theatre, name: str, stream: bool
) -> None:
    theatre.hosted = HOSTED
    await theatre.play(["responses", name, name, "responses"], stored=True, stream=stream)

    sent = theatre.upstreams[name].exchanges[-1].body.decode()
    for told in ("weather at home", "print(6 * 7)", "forty-two", "found it"):
        assert told in sent
    [last] = theatre.upstreams["responses"].exchanges[1:]
    kinds = [item["type"] for item in last.json["input"]]
    assert [kind for kind in kinds if kind in ("web_search_call", "mcp_call")] == [
        "web_search_call",
        "mcp_call",
    ]
