"""LlamaIndex's OpenAIResponses (llama-index-llms-openai)."""

from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context
from llama_index.llms.openai import OpenAIResponses
from openai import RateLimitError
from pydantic import BaseModel
from running import BASE_URL, MODEL, run, said

THINKING = {"reasoning_options": {"effort": "low", "summary": "auto"}}
REMEMBERED = {"store": True, "track_previous_responses": True}


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


WEATHER = FunctionTool.from_defaults(get_weather)


def llm(**options: Any) -> OpenAIResponses:
    named: Any = {"model": MODEL, "api_base": BASE_URL, "api_key": "none", "max_retries": 0}
    return OpenAIResponses(**named, context_window=100_000, **options)


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


async def several_turns() -> None:
    first = await llm().achat([ChatMessage(role="system", content="Be brief."), user("I am Ada.")])
    second = await llm().achat([user("I am Ada."), first.message, user("And I?")])
    assert "Ada" in second.message.content
    it = llm(**REMEMBERED)
    await said(await it.astream_chat([user("I am Ada.")]))
    assert "Ada" in (await it.achat([user("And I?")])).message.content


async def a_tool_loop() -> None:
    encrypted = {"include": ["reasoning.encrypted_content"]}
    for options in ({}, THINKING, {**THINKING, **REMEMBERED}, {**THINKING, **encrypted}):
        it = llm(**options)
        asked = "Call get_weather."
        whole = await it.achat_with_tools([WEATHER], user_msg=asked)
        await _answer(it, asked, whole)
        stream = await it.astream_chat_with_tools([WEATHER], user_msg=asked)
        await _answer(it, asked, (await said(stream))[-1])


async def _answer(it: OpenAIResponses, asked: str, called: Any) -> None:
    (call,) = it.get_tool_calls_from_response(called)
    output = ChatMessage(role="tool", content="Rain.", additional_kwargs={"call_id": call.tool_id})
    before = [] if it.track_previous_responses else [user(asked), called.message]
    assert "Rain" in (await it.achat([*before, output])).message.content


async def an_agent() -> None:
    it = FunctionAgent(tools=[WEATHER], llm=llm(), system_prompt="Be brief.")
    context = Context(it)
    assert "Rain" in str(await it.run("Call get_weather.", ctx=context))
    assert "So?" in str(await it.run("So?", ctx=context))


async def structured_output() -> None:
    assert isinstance(await llm().astructured_predict(Person, PromptTemplate("Who?")), Person)


async def refused() -> None:
    try:
        await llm().acomplete("Please refuse.")
    except RateLimitError:
        return
    raise AssertionError("it was not refused")


if __name__ == "__main__":
    run(several_turns, a_tool_loop, an_agent, structured_output, refused)
