"""The embedded model is a provider like any other: streams, limits, schemas, errors, cancellation.

What it says is not judged: 135M parameters are a toy.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from served import serving

from responses_mw import local, weights
from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import Delta, Stopped, TextDelta, UpstreamInfo, UsageReported
from responses_mw.errors import UpstreamProtocolError, UpstreamRefused, UpstreamUnavailable
from responses_mw.local import LocalModel
from responses_mw.turn import Span, Turn

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed (the extra `local`)")
needs_weights = pytest.mark.skipif(
    not weights.is_cached(),
    reason="the local model's weights are not here: responses-mw fetch-model",
)

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TIME = {"type": "function", "name": "get_time", "parameters": None}


@pytest.fixture(scope="module")
def model() -> Iterator[LocalModel]:
    model = LocalModel()
    yield model
    asyncio.run(model.aclose())


def turn(*said: str, **options: Any) -> Turn:
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        for text in said
    ]
    return Turn(model="local", spans=[Span(items)], temperature=0, **options)


async def answer(model: LocalModel, asked: Turn) -> list[Delta]:
    return [delta async for delta in model.stream(asked)]


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def last_usage(deltas: list[Delta]) -> UsageReported:
    return [delta for delta in deltas if isinstance(delta, UsageReported)][-1]


@needs_weights
async def test_it_answers_in_pieces_and_says_what_it_read_and_wrote(model: LocalModel) -> None:
    deltas = await answer(model, turn("What is the capital of France?", max_output_tokens=40))

    assert isinstance(deltas[0], UpstreamInfo)
    assert "SmolLM2" in str([delta.model for delta in deltas if isinstance(delta, UpstreamInfo)])
    assert sum(isinstance(delta, TextDelta) for delta in deltas) > 3
    assert "Paris" in text(deltas)
    assert last_usage(deltas).output_tokens > 3
    assert deltas[-1] == Stopped("stop")


@needs_weights
async def test_the_whole_conversation_reaches_it(model: LocalModel) -> None:
    short = await answer(model, turn("Hello.", max_output_tokens=1))
    long = await answer(model, turn(*["Hello."] * 20, max_output_tokens=1))

    assert last_usage(long).input_tokens > 10 * last_usage(short).input_tokens


@needs_weights
async def test_a_token_limit_ends_it_early(model: LocalModel) -> None:
    deltas = await answer(model, turn("Tell me a long story.", max_output_tokens=5))

    assert last_usage(deltas).output_tokens == 5
    assert deltas[-1] == Stopped("max_output_tokens")


@needs_weights
async def test_it_does_not_say_one_sentence_again_and_again(model: LocalModel) -> None:
    said = text(await answer(model, turn("Tell me a bedtime story.", max_output_tokens=300)))

    sentences = Counter(said.split("."))
    assert max(sentences.values()) < 3, sentences.most_common(1)


@needs_weights
async def test_a_schema_is_kept_to(model: LocalModel) -> None:
    schema = WEATHER["parameters"]
    wanted = {"type": "json_schema", "name": "place", "schema": schema, "strict": True}

    deltas = await answer(model, turn("Name a city.", text_format=wanted))

    assert isinstance(json.loads(text(deltas))["city"], str)


@needs_weights
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"get_weather", "get_time"}),
        ({"type": "function", "name": "get_time"}, {"get_time"}),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "get_weather"}],
            },
            {"get_weather"},
        ),
    ],
)
async def test_a_call_that_is_required_is_made(
    model: LocalModel, choice: Any, names: set[str]
) -> None:
    asked = turn("Is it raining in Oslo?", tools=[WEATHER, TIME], tool_choice=choice)
    assembler = ResponseAssembler({"id": "resp_0", "created_at": 0, "model": "local"})
    assembler.start()
    for delta in await answer(model, asked):
        assembler.feed(delta)
    assembler.finish()

    [call] = assembler.response["output"]
    assert call["type"] == "function_call"
    assert call["name"] in names
    assert isinstance(json.loads(call["arguments"]), dict)


@needs_weights
async def test_a_required_call_cut_short_is_no_call(model: LocalModel) -> None:
    asked = turn("Go.", tools=[WEATHER], tool_choice="required", max_output_tokens=3)

    deltas = await answer(model, asked)

    assert {type(delta) for delta in deltas} == {UpstreamInfo, UsageReported, Stopped}
    assert deltas[-1] == Stopped("max_output_tokens")


@needs_weights
async def test_what_does_not_fit_the_context_is_the_callers_error(model: LocalModel) -> None:
    with pytest.raises(UpstreamRefused) as raised:
        await answer(model, turn("word " * 9000))

    assert (raised.value.status, raised.value.code) == (400, "context_length_exceeded")


@needs_weights
async def test_images_and_broken_schemas_are_the_callers_errors(model: LocalModel) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
    message = {"type": "message", "role": "user", "content": [image]}
    nonsense = {"type": "json_schema", "name": "x", "schema": {"type": "nonsense"}}

    for asked in (Turn(model="local", spans=[Span([message])]), turn("x", text_format=nonsense)):
        with pytest.raises(UpstreamRefused) as raised:
            await answer(model, asked)
        assert raised.value.status == 400


@needs_weights
async def test_leaving_early_frees_it_for_the_next(model: LocalModel) -> None:
    started = time.monotonic()
    async with contextlib.aclosing(model.stream(turn("Tell me a story. " * 40))) as left:
        async for _ in left:
            break

    assert text(await answer(model, turn("Hello.", max_output_tokens=16)))
    # Read to its end, the first would have been half a minute of the machine's time.
    assert time.monotonic() - started < 15


@needs_weights
async def test_turns_wait_for_each_other_up_to_a_limit(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MAX_WAITING", 3)
    asked = turn("Count to three.", max_output_tokens=16)

    answers = await asyncio.gather(
        *(answer(model, asked) for _ in range(4)), return_exceptions=True
    )

    [refused] = [each for each in answers if isinstance(each, Exception)]
    assert isinstance(refused, UpstreamRefused)
    assert (refused.status, refused.retry_after) == (429, 5)
    assert len({text(each) for each in answers if isinstance(each, list)}) == 1


@needs_weights
async def test_closing_ends_what_is_under_way_and_a_later_turn_loads_it_again() -> None:
    model = LocalModel()
    await model.load()
    stream = model.stream(turn("Tell me a long story."))
    await anext(stream)
    await model.aclose()

    with pytest.raises(UpstreamProtocolError):
        async for _ in stream:
            pass
    assert text(await answer(model, turn("Hello.", max_output_tokens=16)))
    await model.aclose()


async def test_missing_or_broken_weights_are_named_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.gguf").write_text("not a model")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    for path, said in (
        (None, "run `responses-mw fetch-model`"),
        (tmp_path / "absent.gguf", "check the path"),
        (tmp_path / "broken.gguf", "could not load"),
    ):
        model = LocalModel(path)
        with pytest.raises(UpstreamUnavailable, match=said):
            await answer(model, turn("Hello."))
        await model.aclose()


@needs_weights
def test_without_any_configuration_it_is_what_is_served(tmp_path: Path) -> None:
    with serving(folder=tmp_path) as server:
        client = OpenAI(base_url=server.url, api_key="none", max_retries=0)
        first = client.responses.create(model="local", input="Hi.", max_output_tokens=16)
        stream = client.responses.create(
            model="local",
            input="And again.",
            previous_response_id=first.id,
            max_output_tokens=16,
            stream=True,
        )
        last = list(stream)[-1]

    assert server.said["models"] == "local"
    assert last.response.usage.input_tokens > first.usage.input_tokens
