"""pydantic-ai's OpenAIResponsesModel."""

from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from running import BASE_URL, MODEL, run

CLIENT = AsyncOpenAI(base_url=BASE_URL, api_key="none", max_retries=0)
RESPONSES = OpenAIResponsesModel(MODEL, provider=OpenAIProvider(openai_client=CLIENT))
THINKING = {"openai_reasoning_effort": "low", "openai_reasoning_summary": "auto"}
REMEMBERED = {"openai_previous_response_id": "auto"}
SETTINGS: list[dict[str, Any]] = [
    {},
    REMEMBERED,
    THINKING,
    {**REMEMBERED, **THINKING},
    {**THINKING, "openai_store": False},
    {**THINKING, "openai_send_reasoning_ids": True},
    {"openai_transport": "websocket"},
    {"openai_background": True},
]


class Person(BaseModel):
    name: str
    age: int


def agent(**options: Any) -> Agent[Any, Any]:
    return Agent(RESPONSES, instructions="Be brief.", **options)


def with_tools(**options: Any) -> Agent[Any, Any]:
    it = agent(**options)

    @it.tool_plain
    def get_weather(city: str) -> str:
        return f"Rain in {city}."

    @it.tool_plain
    def get_time(zone: str) -> str:
        return f"Noon in {zone}."

    return it


async def streamed(it: Agent[Any, Any], text: str, **options: Any) -> Any:
    async with it.run_stream(text, **options) as running:
        await running.get_output()
    return running


async def several_turns() -> None:
    for settings in SETTINGS:
        it = agent(model_settings=settings)
        first = await it.run("I am Ada.")
        second = await it.run("And I?", message_history=first.all_messages())
        assert "Ada" in second.output
        assert second.usage.input_tokens
        third = await streamed(it, "So?", message_history=second.all_messages())
        fourth = await it.run("So?", message_history=third.all_messages())
        assert "Ada" in fourth.output


async def a_tool_loop() -> None:
    for settings in SETTINGS:
        it = with_tools(model_settings=settings)
        first = await it.run("Call get_weather and get_time.")
        assert "Rain" in first.output
        second = await it.run("So?", message_history=first.all_messages())
        assert "So?" in second.output
        third = await streamed(it, "Call get_time.", message_history=second.all_messages())
        assert "Noon" in await third.get_output()


async def conversations() -> None:
    conversation = await CLIENT.conversations.create()
    named = agent(model_settings={"openai_conversation_id": conversation.id})
    first = await named.run("I am Ada.")
    it = agent(model_settings={"openai_conversation_id": "auto"})
    second = await it.run("And I?", message_history=first.all_messages())
    assert "Ada" in second.output


async def structured_output() -> None:
    for output_type in (Person, ToolOutput(Person), NativeOutput(Person)):
        it = agent(output_type=output_type)
        assert isinstance((await it.run("Who? final_result")).output, Person)
        assert isinstance(await (await streamed(it, "Who? final_result")).get_output(), Person)


async def every_setting() -> None:
    settings = {
        "max_tokens": 200,
        "parallel_tool_calls": False,
        "openai_truncation": "auto",
        "openai_text_verbosity": "low",
        "openai_user": "u",
        "openai_service_tier": "auto",
        "openai_prompt_cache_key": "k",
        "openai_prompt_cache_retention": "24h",
        "openai_include_code_execution_outputs": True,
        "openai_include_web_search_sources": True,
        "openai_include_file_search_results": True,
        "openai_include_raw_annotations": True,
        "openai_context_management": [{"type": "compaction", "compact_threshold": 100_000}],
    }
    assert (await agent(model_settings=settings).run("Hi.")).output


async def cancelled() -> None:
    async with agent().run_stream("Count slowly.") as running:
        async for _ in running.stream_text(debounce_by=None):
            break
    assert (await agent().run("Hi.")).output


async def refused() -> None:
    try:
        await agent().run("Please refuse.")
    except ModelHTTPError as error:
        if error.status_code == 429:
            return
    raise AssertionError("it was not refused")


if __name__ == "__main__":
    run(
        several_turns,
        a_tool_loop,
        conversations,
        structured_output,
        every_setting,
        cancelled,
        refused,
    )
