"""LangChain's ChatOpenAI, over the Responses API (langchain-openai)."""

from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import RateLimitError
from pydantic import BaseModel
from running import BASE_URL, MODEL, run, said

VERSIONS: list[dict[str, Any]] = [
    {},
    {"output_version": "responses/v1"},
    {"output_version": "v1"},
    {"use_previous_response_id": True},
]
THINKING: dict[str, Any] = {"reasoning": {"effort": "low", "summary": "auto"}}
STATELESS: dict[str, Any] = {
    **THINKING,
    "store": False,
    "include": ["reasoning.encrypted_content"],
}
PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def chat(**options: Any) -> ChatOpenAI:
    named: Any = {"base_url": BASE_URL, "api_key": "none", "model": MODEL, "max_retries": 0}
    return ChatOpenAI(**named, use_responses_api=True, **options)


async def whole_and_streamed() -> None:
    for version in VERSIONS:
        it = chat(**version)
        asked = [SystemMessage("Be brief."), HumanMessage("I am Ada.")]
        whole: Any = await it.ainvoke(asked)
        joined: Any = reduce(add, await said(it.astream(asked)))
        for answer in (whole, joined):
            assert "Ada" in answer.text
            assert answer.usage_metadata["total_tokens"] > 0
            assert answer.response_metadata["id"].startswith("resp_")
            again = await it.ainvoke([*asked, answer, HumanMessage("And I?")])
            assert "Ada" in again.text


async def a_tool_loop() -> None:
    for version in VERSIONS:
        for thinking in ({}, THINKING, STATELESS):
            for streaming in (False, True):
                if "store" not in thinking or "use_previous_response_id" not in version:
                    await _tool_loop(streaming=streaming, **version, **thinking)


async def _tool_loop(**options: Any) -> None:
    it = chat(**options).bind_tools([get_weather], strict=True)
    messages: list[Any] = [HumanMessage("Call get_weather.")]
    called: Any = await it.ainvoke(messages)
    (call,) = called.tool_calls
    messages += [called, ToolMessage("Rain.", tool_call_id=call["id"])]
    then = await it.ainvoke(messages)
    assert "Rain" in then.text
    messages += [then, HumanMessage("So?")]
    assert "So?" in (await it.ainvoke(messages)).text


async def forced_tools() -> None:
    for choice in ("any", "get_weather", "none"):
        it = chat().bind_tools([get_weather], tool_choice=choice, parallel_tool_calls=False)
        answer: Any = await it.ainvoke("Hi.")
        assert bool(answer.tool_calls) == (choice != "none")


async def structured_output() -> None:
    for method in ("json_schema", "function_calling"):
        it = chat().with_structured_output(Person, method=method)
        assert isinstance(await it.ainvoke("Who?"), Person)
    assert isinstance(
        (await said(chat().with_structured_output(Person).astream("Who?")))[-1], Person
    )


async def pictures() -> None:
    shown = {"type": "image", "base64": PICTURE, "mime_type": "image/png"}
    asked = HumanMessage([{"type": "text", "text": "Call get_weather."}, shown])
    it = chat().bind_tools([get_weather])
    called: Any = await it.ainvoke([asked])
    (call,) = called.tool_calls
    seen = ToolMessage([{"type": "text", "text": "Rain."}, shown], tool_call_id=call["id"])
    assert (await it.ainvoke([asked, called, seen])).text


async def every_option() -> None:
    options: dict[str, Any] = {
        "temperature": 0.3,
        "top_p": 0.9,
        "max_tokens": 300,
        "metadata": {"a": "b"},
        "verbosity": "low",
        "service_tier": "auto",
        "truncation": "auto",
        "top_logprobs": 2,
        "model_kwargs": {"user": "u", "prompt_cache_key": "k"},
    }
    assert (await chat(**options).ainvoke("Hi.")).text


async def cancelled() -> None:
    async for _ in chat().astream("Count slowly."):
        break
    assert (await chat().ainvoke("Hi.")).text


async def refused() -> None:
    for streaming in (False, True):
        try:
            await chat(streaming=streaming).ainvoke("Please refuse.")
        except RateLimitError:
            continue
        raise AssertionError("it was not refused")


if __name__ == "__main__":
    run(
        whole_and_streamed,
        a_tool_loop,
        forced_tools,
        structured_output,
        pictures,
        every_option,
        cancelled,
        refused,
    )
