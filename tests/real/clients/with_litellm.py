"""LiteLLM as a client: its Responses calls, and its chat calls that go over Responses."""

from typing import Any

import litellm
from pydantic import BaseModel
from running import BASE_URL, MODEL, run, said

ADDRESS: dict[str, Any] = {"api_base": BASE_URL, "api_key": "none"}
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = {"name": "get_weather", "parameters": PARAMETERS, "strict": True}


class Person(BaseModel):
    name: str
    age: int


async def ask(input: Any, **options: Any) -> Any:
    return await litellm.aresponses(input=input, model=f"openai/{MODEL}", **ADDRESS, **options)


async def chat(**options: Any) -> Any:
    return await litellm.acompletion(model=f"openai/responses/{MODEL}", **ADDRESS, **options)


async def several_turns() -> None:
    first = await ask("I am Ada.")
    second = await ask("And I?", previous_response_id=first.id)
    assert "Ada" in second.output_text
    stored: dict[str, Any] = {"response_id": second.id, "custom_llm_provider": "openai", **ADDRESS}
    assert (await litellm.aget_responses(**stored)).output
    assert await litellm.alist_input_items(**stored)
    events = await said(await ask("So?", previous_response_id=second.id, stream=True))
    last: Any = events[-1]
    assert last.type == "response.completed"
    assert "Ada" in (await ask("So?", previous_response_id=last.response.id)).output_text
    await litellm.adelete_responses(**stored)


async def a_tool_loop() -> None:
    tools = [{"type": "function", **WEATHER}]
    for options in ({}, {"reasoning": {"effort": "low", "summary": "auto"}}):
        first = await ask("Call get_weather.", tools=tools, **options)
        call = first.output[-1]
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
        second = await ask([output], previous_response_id=first.id, tools=tools)
        assert "Rain" in second.output_text
        sent = [item.model_dump() for item in first.output]
        asked = {"role": "user", "content": "Call get_weather."}
        again = await ask([asked, *sent, output], tools=tools, **options)
        assert "Rain" in again.output_text


async def chat_over_responses() -> None:
    tools = [{"type": "function", "function": WEATHER}]
    messages: list[Any] = [{"role": "user", "content": "Call get_weather."}]
    chunks = await said(await chat(messages=messages, tools=tools, stream=True))
    joined: Any = litellm.stream_chunk_builder(chunks)
    for answer in (await chat(messages=messages, tools=tools), joined):
        message = answer.choices[0].message
        output = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Rain."}
        then = await chat(messages=[*messages, message.model_dump(), output], tools=tools)
        assert "Rain" in then.choices[0].message.content


async def structured_output() -> None:
    assert Person.model_validate_json((await ask("Who?", text_format=Person)).output_text)


async def refused() -> None:
    for stream in (False, True):
        try:
            await ask("Please refuse.", stream=stream, max_retries=0)
        except litellm.RateLimitError:
            continue
        raise AssertionError("it was not refused")


if __name__ == "__main__":
    run(several_turns, a_tool_loop, chat_over_responses, structured_output, refused)
