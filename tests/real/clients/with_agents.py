"""The Agents SDK of OpenAI (openai-agents)."""

from typing import Any

from agents import (
    Agent,
    CustomTool,
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIResponsesCompactionSession,
    OpenAIResponsesModel,
    OpenAIResponsesWSModel,
    Runner,
    SQLiteSession,
    function_tool,
    handoff,
    set_tracing_disabled,
)
from openai import AsyncOpenAI, RateLimitError
from openai.types.shared import Reasoning
from pydantic import BaseModel
from running import BASE_URL, MODEL, run, said

set_tracing_disabled(True)
CLIENT = AsyncOpenAI(base_url=BASE_URL, api_key="none", max_retries=0)
RESPONSES = OpenAIResponsesModel(model=MODEL, openai_client=CLIENT)
EFFORT = Reasoning(effort="low", summary="auto")
THINKING = ModelSettings(reasoning=EFFORT)
STATELESS = ModelSettings(
    store=False, reasoning=EFFORT, response_include=["reasoning.encrypted_content"]
)


class Person(BaseModel):
    name: str
    tags: list[str]


@function_tool
def get_weather(city: str) -> str:
    return f"Rain in {city}."


@function_tool
def get_time(zone: str) -> str:
    return f"Noon in {zone}."


def agent(**options: Any) -> Agent[Any]:
    given: dict[str, Any] = {"name": "Ann", "instructions": "Be brief.", "model": RESPONSES}
    return Agent(**{**given, **options})


def and_then(result: Any) -> list[Any]:
    return [*result.to_input_list(), {"role": "user", "content": "So?"}]


async def by_response_id() -> None:
    first = await Runner.run(agent(), "I am Ada.")
    second = await Runner.run(agent(), "And I?", previous_response_id=first.last_response_id)
    assert "Ada" in second.final_output
    assert second.context_wrapper.usage.total_tokens > 0


async def a_tool_loop() -> None:
    for settings in (ModelSettings(), THINKING, STATELESS):
        it = agent(tools=[get_weather, get_time], model_settings=settings)
        result = await Runner.run(it, "Call get_weather and get_time.")
        assert "Rain" in result.final_output
        assert "Noon" in result.final_output
        assert "So?" in (await Runner.run(it, and_then(result))).final_output


async def a_streamed_tool_loop() -> None:
    for settings in (ModelSettings(), THINKING, STATELESS):
        it = agent(tools=[get_weather], model_settings=settings)
        running = Runner.run_streamed(it, "Call get_weather.")
        seen = {event.type for event in await said(running.stream_events())}
        assert {"raw_response_event", "run_item_stream_event"} <= seen
        assert "Rain" in running.final_output
        assert "So?" in (await Runner.run(it, and_then(running))).final_output


async def a_tool_loop_that_the_server_remembers() -> None:
    it = agent(tools=[get_weather])
    result = await Runner.run(it, "Call get_weather.", auto_previous_response_id=True)
    assert "Rain" in result.final_output


async def a_custom_tool() -> None:
    async def run_it(context: Any, text: str) -> str:
        return "It ran."

    it = agent(tools=[CustomTool(name="run_it", description="Runs.", on_invoke_tool=run_it)])
    assert "It ran." in (await Runner.run(it, "Call run_it.")).final_output


async def structured_output() -> None:
    it = agent(output_type=Person)
    assert isinstance((await Runner.run(it, "Who?")).final_output, Person)
    running = Runner.run_streamed(it, "Who?")
    await said(running.stream_events())
    assert isinstance(running.final_output, Person)


async def handoffs() -> None:
    other = agent(name="Other")
    first = agent(handoffs=[handoff(other, tool_name_override="go_to_other")])
    for remembered in (False, True):
        result = await Runner.run(first, "go_to_other", auto_previous_response_id=remembered)
        assert result.last_agent is other


async def sessions() -> None:
    compacting = OpenAIResponsesCompactionSession(
        "one", SQLiteSession("one"), client=CLIENT, should_trigger_compaction=lambda _: False
    )
    on_server = OpenAIConversationsSession(openai_client=CLIENT)
    it = agent(tools=[get_weather], model_settings=THINKING)
    for session in (SQLiteSession("two"), compacting, on_server):
        await Runner.run(it, "Call get_weather.", session=session)
        await Runner.run(it, "I am Ada.", session=session)
        third = Runner.run_streamed(it, "And I?", session=session)
        await said(third.stream_events())
        assert "Ada" in third.final_output
        before = await session.get_items()
        await session.pop_item()
        assert await session.get_items() == before[:-1]
        await session.clear_session()


async def conversations() -> None:
    conversation = await CLIENT.conversations.create()
    it = agent(tools=[get_weather])
    await Runner.run(it, "Call get_weather. I am Ada.", conversation_id=conversation.id)
    second = Runner.run_streamed(it, "And I?", conversation_id=conversation.id)
    await said(second.stream_events())
    assert "Ada" in second.final_output


async def over_a_websocket() -> None:
    model = OpenAIResponsesWSModel(model=MODEL, openai_client=CLIENT)
    it = agent(model=model, tools=[get_weather])
    result = await Runner.run(it, "Call get_weather.")
    assert "Rain" in result.final_output
    then = await Runner.run(it, "So?", previous_response_id=result.last_response_id)
    assert "So?" in then.final_output


async def every_setting() -> None:
    settings = ModelSettings(
        temperature=0.5,
        top_p=0.9,
        tool_choice="required",
        parallel_tool_calls=False,
        truncation="auto",
        max_tokens=500,
        metadata={"a": "b"},
        verbosity="low",
        top_logprobs=2,
        prompt_cache_retention="24h",
        extra_args={"safety_identifier": "x", "prompt_cache_key": "k", "service_tier": "auto"},
    )
    it = agent(tools=[get_weather], model_settings=settings)
    assert (await Runner.run(it, "Hi.")).final_output


async def cancelled() -> None:
    running = Runner.run_streamed(agent(), "Count slowly.")
    async for event in running.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            running.cancel()
    assert (await Runner.run(agent(), "Hi.")).final_output


async def refused() -> None:
    try:
        await Runner.run(agent(), "Please refuse.")
    except RateLimitError:
        return
    raise AssertionError("it was not refused")


if __name__ == "__main__":
    run(
        by_response_id,
        a_tool_loop,
        a_streamed_tool_loop,
        a_tool_loop_that_the_server_remembers,
        a_custom_tool,
        structured_output,
        handoffs,
        sessions,
        conversations,
        over_a_websocket,
        every_setting,
        cancelled,
        refused,
    )
