"""The Responses API as Python calls, without any server; conversations are kept nonetheless.

ANTHROPIC_API_KEY=... OPENAI_API_KEY=... python calls.py
"""

import asyncio

import responses_mw

CLAUDE, GPT = "anthropic/claude-sonnet-4-5", "openai/gpt-5-mini"

response = responses_mw.responses(
    model=CLAUDE, input="A bedtime story, please.", max_output_tokens=500
)
print("claude:", response.output_text)

# Streamed; and the conversation goes on with another provider.
events = responses_mw.responses(
    model=GPT, input="Go on.", previous_response_id=response.id, stream=True
)
for event in events:
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()

# Every stored response can be read, continued again, and deleted.
found = responses_mw.get_responses(response.id)
print("asked:", responses_mw.list_input_items(found.id).data[0].content[0].text)
print("deleted:", responses_mw.delete_responses(found.id).deleted)

# Models by names of your own, as in LiteLLM's model_list.
router = responses_mw.Router(
    model_list=[
        {"model_name": "story", "litellm_params": {"model": CLAUDE}},
        {"model_name": "other", "litellm_params": {"model": GPT}},
    ],
    fallbacks=[{"story": ["other"]}],
)


async def main() -> None:
    """Each call has a form to be awaited, and those above work inside a running loop, too."""
    answer = await router.aresponses(model="story", input="Another one.")
    print("story:", answer.output_text)
    long = await router.aresponses(model="story", input="A novel.", background=True)
    print((await router.acancel_responses(long.id)).status)
    try:
        await router.aresponses(model="story", input="?", previous_response_id="resp_unknown")
    except responses_mw.InvalidRequest as error:
        print("error:", error.status, error.code)


asyncio.run(main())
