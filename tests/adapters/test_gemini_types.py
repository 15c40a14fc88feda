"""Every request we can make is one that Google's own client would send, field by field.

The client is given what our request says, through its typed interface; what it then sends over the
wire is compared with our request. It refuses unknown fields, wrong types and what a platform lacks.
"""

import base64
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import product
from typing import Any

import httpx2
import pytest
from gemini_turns import GEMINI, PNG, VERTEX, call, file, function, image, message, output, turn
from google import genai
from google.genai import types

from responses_mw.adapters.gemini import Gemini
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Item, Span, Turn

MODELS = (
    "gemini-2.0-flash",
    "gemini-2.5-pro",
    "gemini-2.5-flash-lite",
    "gemini-3-pro-preview",
    "gemini-3.1-pro-preview",
    "gemini-3-flash-preview",
    "gemini-flash-latest",
)
TEXT = base64.b64encode(b"hello").decode()
SIGNATURE = base64.b64encode(b"signed by nobody").decode()
PARTS = (
    image(f"data:image/png;base64,{PNG}"),
    image("https://example.org/a.png", detail="high"),
    image(None, file_id="gs://bucket/a.png"),
    file(filename="a.pdf", file_data="JVBERi0="),
    file(filename="a.txt", file_data=TEXT),
    file(file_url="https://example.org/a.pdf"),
    file(file_id="files/abc"),
    {"type": "input_audio", "input_audio": {"data": TEXT, "format": "wav"}},
)
NATIVE = (
    {"text": "Hm.", "thought": True},
    {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
    {"text": "So.", "thoughtSignature": SIGNATURE},
    {"functionCall": {"name": "look", "args": {"at": "home"}}, "thoughtSignature": SIGNATURE},
    {"functionCall": {"name": "go", "args": {}}},
)
CALLED = [call("n1", '{"at": "home"}'), call("n2", name="go")]
CONVERSATIONS: Mapping[str, list[Item | Span]] = {
    "text": [message("user", "Hi")],
    "roles": [
        message("developer", "Be kind."),
        message("user", "Hi"),
        message("assistant", "Yes?", {"type": "refusal", "refusal": "No."}),
        message("system", "Stop."),
        message("user", "Why?"),
    ],
    "parts": [message("user", "See", *PARTS)],
    "calls": [
        message("user", "go"),
        call("a", '{"at": "home"}'),
        call("b:1", "broken"),
        output("b:1", [{"type": "input_text", "text": "see"}, *PARTS[:5]]),
        output("a", [{"type": "input_video", "video_url": "https://example.org/a.mp4"}]),
        {"type": "custom_tool_call", "call_id": "c", "name": "look", "input": "up"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": ""},
        {"type": "reasoning", "summary": []},
    ],
    "native": [message("user", "go"), Span(CALLED), output("n1"), output("n2")],
}

TOOLS = [
    function(description="Looks."),
    function("go", parameters=None),
    function("do", strict=True),
]
HOSTED = [{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}]
ALLOWED = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "go"}]}
CHOICES = ("auto", "none", "required", {"type": "function", "name": "go"}, ALLOWED)
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "x"}, "at": {"$ref": "#/$defs/at"}},
    "$defs": {"at": {"type": "object", "properties": {"x": {"type": ["number", "null"]}}}},
}
FORMATS = (
    None,
    {"type": "json_object"},
    {"type": "json_schema", "name": "n", "schema": SCHEMA, "description": "A place."},
)
EFFORTS = (None, "none", "minimal", "low", "medium", "high", "xhigh", "max")
SAMPLING = {
    "temperature": 0.3,
    "top_p": 0.9,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "max_output_tokens": 500,
}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"instructions": "Be brief.", "stream": True, **SAMPLING},
    {"user": "u1", "metadata": {"team": "a-1", "Name": "not a label"}, "verbosity": "high"},
    {"service_tier": "default", "top_logprobs": 2, "logprobs": True},
    {"service_tier": "flex", "prompt_cache_key": "k", "reasoning_summary": "auto"},
    *({"text_format": wanted, "reasoning_summary": "auto"} for wanted in FORMATS),
    *({"reasoning_effort": effort} for effort in EFFORTS),
    *(
        {"tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": parallel}
        for choice, parallel in product(CHOICES, (True, False))
    ),
    *(
        {"tools": TOOLS, "tool_choice": choice, "text_format": wanted, "reasoning_effort": "high"}
        for choice, wanted in product(CHOICES, FORMATS)
    ),
    {"tools": HOSTED},
    {"tools": [*TOOLS, *HOSTED]},
    {"tools": [*TOOLS, *HOSTED], "tool_choice": ALLOWED},
    {"extra_body": {"generationConfig": {"topK": 5, "seed": 1}}},
)


def turns(model: str, on: Gemini) -> Iterator[Turn]:
    scope = on.scope(turn(model=model))
    native = Span(CALLED, NativeTurn(scope, list(NATIVE)))
    plain = product([CONVERSATIONS["text"]], OPTIONS)
    for items, options in (*plain, *product(CONVERSATIONS.values(), OPTIONS[:3])):
        said = [native if isinstance(item, Span) else item for item in items]
        yield turn(*said, model=model, **options)


class OfficialClient:
    """Sends nothing; keeps what it would have sent."""

    def __init__(self, *, vertexai: bool) -> None:
        self.sent: list[httpx2.Request] = []
        http = httpx2.Client(transport=httpx2.MockTransport(self._keep))
        options = types.HttpOptions(httpx_client=http)
        self._client = genai.Client(api_key="none", vertexai=vertexai, http_options=options)

    def _keep(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        return httpx2.Response(200, json={"candidates": []})

    def says(self, model: str, body: Mapping[str, Any]) -> dict[str, Any]:
        config = {key: value for key, value in body.items() if key != "contents"}
        config |= config.pop("generationConfig", {})
        typed = types.GenerateContentConfig.model_validate(config)
        # Not its own loop of calls, please: it is given declarations only.
        typed.automatic_function_calling = types.AutomaticFunctionCallingConfig(disable=True)
        told = [types.Content.model_validate(content) for content in body["contents"]]
        self._client.models.generate_content(model=model, contents=told, config=typed)
        found: dict[str, Any] = json.loads(self.sent[-1].content)
        return found


def normalised(value: Any, key: str = "") -> Any:
    """The accepted differences:

    - the client spells bytes in the other alphabet of base64, and names in snake case where it was
      never told to change them;
    - thinking levels are names of either case;
    - an empty generationConfig and the role of a system instruction say nothing.
    """
    match value:
        case dict() if key in ("args", "response", "responseJsonSchema", "parametersJsonSchema"):
            return value
        case dict():
            named = {camel(name): normalised(entry, camel(name)) for name, entry in value.items()}
            empty = {"generationConfig": {}, "role": "user" if key == "systemInstruction" else ""}
            return {k: v for k, v in named.items() if k not in empty or v != empty[k]}
        case list():
            return [normalised(entry) for entry in value]
        case str() if key in ("data", "thoughtSignature"):
            return value.replace("-", "+").replace("_", "/")
        case str() if key == "thinkingLevel":
            return value.upper()
    return value


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@pytest.mark.untraced
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("on", [GEMINI, VERTEX], ids=["gemini", "vertex_ai"])
def test_request_is_what_the_official_client_sends(model: str, on: Gemini) -> None:
    client = OfficialClient(vertexai=on is VERTEX)
    checked = 0
    refused: set[str | None] = set()
    for asked in turns(model, on):
        try:
            request = on.encode(asked)
        except UnsupportedByProvider as error:
            refused.add(error.param)
            continue
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is experimental")
            sent = client.says(model, request.body)
        assert normalised(sent) == normalised(request.body)
        checked += 1
    assert checked >= 55
    assert refused <= {"tools"}  # functions beside hosted ones, by old models


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("on", [GEMINI, VERTEX], ids=["gemini", "vertex_ai"])
def test_path_is_the_one_of_the_official_client(on: Gemini, stream: bool) -> None:
    client = OfficialClient(vertexai=on is VERTEX)
    model = "gemini-2.5-flash"
    request = on.encode(turn(model=model, stream=stream))
    ask = client._client.models
    if stream:
        with suppress(StopIteration):
            next(iter(ask.generate_content_stream(model=model, contents="Hi")))
    else:
        ask.generate_content(model=model, contents="Hi")

    assert str(client.sent[-1].url).endswith(request.path)


def test_the_client_notices_what_is_wrong() -> None:
    """The judge is awake: it sees a wrong value and an unknown key, deep inside."""
    client = OfficialClient(vertexai=False)
    good = GEMINI.encode(turn()).body
    assert normalised(client.says("gemini-2.5-flash", good)) == good

    for wrong in ({"text": 5}, {"text": "Hi", "colour": "red"}, {"weather": "fine"}):
        body = {**good, "contents": [{"role": "user", "parts": [wrong]}]}
        with pytest.raises(ValueError, match="validation error"):
            client.says("gemini-2.5-flash", body)
