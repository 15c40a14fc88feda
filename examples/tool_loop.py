"""A tool loop: the model calls a function here, and answers from what it returned.

Start `responses-mw serve` first, with any model; the local one needs no key.
python tool_loop.py "What is the weather in Oslo?"
"""

import json
import os
import sys

from openai import OpenAI

URL = os.environ.get("RESPONSES_MW_URL", "http://127.0.0.1:4000/v1")
MODEL = os.environ.get("MODEL", "local")
KEY = os.environ.get("RESPONSES_MW_MASTER_KEY", "none")

TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
]


def get_weather(city: str) -> str:
    return f"Sunny and 21 degrees in {city}."


def ask(client: OpenAI, question: str) -> str:
    answer = client.responses.create(
        model=MODEL, input=question, tools=TOOLS, tool_choice="required"
    )
    while calls := [item for item in answer.output if item.type == "function_call"]:
        outputs = []
        for call in calls:
            output = get_weather(**json.loads(call.arguments))
            print(f"{call.name}({call.arguments}) -> {output}")
            outputs.append(
                {"type": "function_call_output", "call_id": call.call_id, "output": output}
            )
        answer = client.responses.create(
            model=MODEL, input=outputs, previous_response_id=answer.id, tools=TOOLS
        )
    return answer.output_text


if __name__ == "__main__":
    question = " ".join(sys.argv[1:]) or "What is the weather in Oslo?"
    print(ask(OpenAI(base_url=URL, api_key=KEY), question))
