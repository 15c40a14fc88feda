"""Everything that a client may say, told to every provider: the official clients' types describe
the request, or it is a 400 that names the field.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import chat_turns
import pytest
import test_anthropic_types as anthropic_types
import test_bedrock_types as bedrock_types
import test_chat_types as chat_types
import test_gemini_types as gemini_types
import test_responses_types as responses_types
from every_request import BODIES, OURS, PARAMETERS, Body, turn_of

from responses_mw import parts
from responses_mw.adapters import chat_dialects, openai_responses_dialects
from responses_mw.adapters.anthropic import AnthropicMessages
from responses_mw.adapters.base import Adapter, UpstreamRequest
from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_invoke import BedrockInvoke
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.gemini import Gemini
from responses_mw.adapters.gemini_encode import VERTEX_AI
from responses_mw.adapters.openai_responses import OpenAIResponses
from responses_mw.checks import Shape
from responses_mw.errors import UnsupportedByProvider
from responses_mw.items import SHAPES as ITEMS
from responses_mw.items import type_of
from responses_mw.schema import FORMATS, CreateRequest, ReasoningOptions, TextOptions
from responses_mw.tool_schema import MODES, ONE_TOOL
from responses_mw.tool_schema import SHAPES as TOOLS

# --- the judges


def messages(request: UpstreamRequest, model: str) -> None:
    beta = "anthropic-beta" in request.headers
    types = anthropic_types.BETA_TYPES if beta else anthropic_types.PLAIN_TYPES
    body = anthropic_types.typed(request.body)
    assert anthropic_types.described(types, body) == body


def chat(request: UpstreamRequest, model: str) -> None:
    stream = request.body.get("stream")
    types = chat_turns.STREAM_BODY if stream else chat_turns.WHOLE_BODY
    chat_types.check_types(request.body, types)


def converse(request: UpstreamRequest, model: str) -> None:
    stream = request.path.endswith("-stream")
    bedrock_types.described(request, "ConverseStream" if stream else "Converse", model)


def invoked(request: UpstreamRequest, model: str) -> None:
    """Bedrock's own fields aside, it is a message for Claude."""
    body = {"model": model, **request.body}
    del body["anthropic_version"]
    body.pop("anthropic_beta", None)
    described = anthropic_types.described(anthropic_types.BETA_TYPES, anthropic_types.typed(body))
    assert described == anthropic_types.typed(body)


def responses(request: UpstreamRequest, model: str) -> None:
    newer = responses_types.NEWER
    body = {key: value for key, value in request.body.items() if key not in newer}
    if "tools" in body:
        body["tools"] = [*map(_said_whole, body["tools"])]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] in UNTYPED_CHOICES:
        del body["tool_choice"]
    assert responses_types.described(body) == body


UNTYPED_CHOICES = (
    "web_search",
    "web_search_2025_08_26",
    "local_shell",
    "namespace",
    "tool_search",
)
"""Tools that the official types do not let be demanded, and Open Responses does: passed through as
they came, since the upstream has the last word."""


def _said_whole(tool: Body) -> Body:
    """The types want every key of a function, which the API does not."""
    unsaid = {"strict": None, "parameters": None} if tool["type"] == "function" else {}
    return {**unsaid, **tool}


class GenerateContent:
    def __init__(self, *, vertexai: bool) -> None:
        self._client = gemini_types.OfficialClient(vertexai=vertexai)

    def __call__(self, request: UpstreamRequest, model: str) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is experimental")
            sent = self._client.says(model, request.body)
        assert gemini_types.normalised(sent) == gemini_types.normalised(request.body)


@dataclass(frozen=True)
class Case:
    adapter: Adapter
    model: str
    judge: Callable[[UpstreamRequest, str], None]

    def __str__(self) -> str:
        return f"{type(self.adapter).__name__} {self.model}"


def cases() -> Iterator[Case]:
    for model in ("claude-sonnet-4-5", "claude-opus-5-5"):
        yield Case(AnthropicMessages(), model, messages)
    for dialect in (chat_dialects.OPENAI, chat_dialects.AZURE):
        yield Case(ChatCompletions(dialect), dialect.name, chat)
    claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    for model in (claude, "us.amazon.nova-2-lite-v1:0", "us.meta.llama3-3-70b-instruct-v1:0"):
        yield Case(BedrockConverse(), model, converse)
    yield Case(BedrockInvoke(), claude, invoked)
    for model in ("gemini-2.5-flash", "gemini-3-pro-preview"):
        yield Case(Gemini(), model, GenerateContent(vertexai=False))
        yield Case(
            Gemini(name="vertex_ai", surface=VERTEX_AI), model, GenerateContent(vertexai=True)
        )
    for name, spoken in openai_responses_dialects.DIALECTS.items():
        yield Case(OpenAIResponses(dialect=spoken), name, responses)


@pytest.mark.parametrize("case", [*cases()], ids=str)
def test_whatever_a_client_says_is_described_or_refused_by_name(case: Case) -> None:
    described = 0
    for name, body in BODIES.items():
        request = encoded(case, body)
        if isinstance(request, UnsupportedByProvider):
            field = str(request.param).partition("[")[0].partition(".")[0]
            assert field in body, (name, request.param)
            continue
        try:
            case.judge(request, case.model)
        except (AssertionError, ValueError) as error:
            raise AssertionError(name) from error
        described += 1
    assert described > len(BODIES) / 2


def encoded(case: Case, body: Body) -> UpstreamRequest | UnsupportedByProvider:
    try:
        return case.adapter.encode(turn_of(body, case.model))
    except UnsupportedByProvider as refusal:
        return refusal


# --- that nothing is lost in silence

SAYS_NOTHING: Mapping[str, str] = {
    "stream False": "what is asked without the parameter",
    "parallel_tool_calls True": "likewise",
    "text {'format': {'type': 'text'}}": "likewise",
    "text {'verbosity': 'medium'}": "likewise",
    "reasoning {'effort': 'none'}": "likewise, of models that do not think by themselves",
    "reasoning {'context': 'auto'}": "likewise",
    "reasoning {'mode': 'standard'}": "likewise",
    "reasoning {'generate_summary'": "models that do not think have nothing to sum up",
    "service_tier auto": "what is asked without the parameter",
    "service_tier default": "likewise, where there is one tier",
    "top_logprobs 0": "likewise",
    "top_p 1": "likewise",
    "store": "the history is kept here",
    "metadata": "it is kept and shown here; some providers are told, too",
    "include": "it is about what we show, or of tools that nobody else has",
    "parallel_tool_calls False": "there is nothing to call, or one call is all that is taken over",
    "max_tool_calls 2$": "it limits hosted tools, and there are none",
    "max_tool_calls 2 and a function$": "likewise",
    "prompt_cache_key": "a mark in the prompt does the same",
    "choice none": "no tool is offered then",
    "allowed, none": "no tool is offered then",
}
"""What a request may say and no provider need be told: how its name in BODIES begins ($: ends)."""


@pytest.mark.parametrize("case", [*cases()], ids=str)
def test_nothing_is_lost_in_silence(case: Case) -> None:
    """What is said changes the request, or is named as left out, or says nothing."""
    for name, body in BODIES.items():
        request, plain = encoded(case, body), encoded(case, unsaid_in(name, body))
        if isinstance(request, UnsupportedByProvider) or isinstance(plain, UnsupportedByProvider):
            continue
        told = (request.path, request.headers, request.body)
        lost = told == (plain.path, plain.headers, plain.body) and not request.dropped
        assert not lost or f"{name}$".startswith(tuple(SAYS_NOTHING)), name


def test_a_search_without_a_limit_is_named_where_it_is_run() -> None:
    """`max_tool_calls` is about hosted tools: Claude has them, and no such limit."""
    name = "max_tool_calls 2 and a search"
    request = encoded(Case(AnthropicMessages(), "claude-sonnet-4-5", messages), BODIES[name])
    assert isinstance(request, UpstreamRequest)
    assert request.dropped == ("max_tool_calls",)


def unsaid_in(name: str, body: Body) -> Body:
    """The same without what the request is there to say."""
    if isinstance(body["input"], list):
        return {"input": "Hello."}
    parameter = name.partition(" ")[0]
    if parameter in PARAMETERS:
        return {key: value for key, value in body.items() if key != parameter}
    return {"input": body["input"]}


# --- that nothing is missing


def said(value: Any) -> Iterator[Body]:
    """Every object in a body."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from said(entry)


ALL = list(BODIES.values())
INPUTS = [item for body in ALL if isinstance(body["input"], list) for item in body["input"]]
OFFERED = [tool for body in ALL for tool in body.get("tools", ())]
CHOSEN = [body["tool_choice"] for body in ALL if "tool_choice" in body]


def unsaid(shapes: Mapping[str, Shape], objects: Iterable[Body]) -> set[str]:
    """Types, and fields of types, that none of the objects has."""
    wanted = {f"{kind}.{name}" for kind, shape in shapes.items() for name in names(shape)}
    had = {(body.get("type"), name) for body in objects for name in body}
    kinds = {kind for kind, _ in had}
    return {kind for kind in shapes if kind not in kinds} | {
        path for path in wanted if tuple(path.split(".")) not in had
    }


def names(shape: Shape) -> list[str]:
    return [field.name for field in shape.fields]


def test_every_item_is_said() -> None:
    typed = [{**item, "type": type_of(item)} for item in INPUTS]
    missing = {path for path in unsaid(ITEMS, typed) if not path.endswith((".id", ".status"))}
    # What these stand for is put in their place, or done, before a turn is made.
    no_items = {"item_reference", "compaction", "compaction_trigger"}
    assert {path.partition(".")[0] for path in missing} == no_items, missing


def test_every_part_is_said_wherever_it_may_stand() -> None:
    assert unsaid(parts.SHAPES, said(INPUTS)) == set()
    places = {
        ("user", part["type"])
        for item in INPUTS
        if item.get("role") == "user" and isinstance(item["content"], list)
        for part in item["content"]
    }
    assert places >= {("user", kind) for kind in parts.OTHERS}
    told = [item for item in INPUTS if item.get("role") == "assistant"]
    assert unsaid({kind: parts.SHAPES[kind] for kind in parts.ASSISTANT}, said(told)) == set()
    for kind in ("function_call_output", "custom_tool_call_output"):
        outputs = [item for item in INPUTS if item.get("type") == kind]
        wanted = {name: parts.SHAPES[name] for name in parts.TOOL_OUTPUT}
        assert unsaid(wanted, said(outputs)) == set()


def test_every_tool_is_offered_demanded_and_allowed() -> None:
    assert unsaid(TOOLS, OFFERED) == set()
    demanded = {choice["type"] for choice in CHOSEN if isinstance(choice, dict)}
    assert demanded == {*ONE_TOOL, "allowed_tools"}
    assert {choice for choice in CHOSEN if isinstance(choice, str)} == set(MODES)
    allowed = [choice for choice in CHOSEN if "mode" in choice]
    assert {choice["mode"] for choice in allowed} == set(MODES)


def test_every_parameter_is_said_with_all_of_its_values() -> None:
    assert set(PARAMETERS) | set(OURS) == set(CreateRequest.model_fields)
    assert not set(PARAMETERS) & set(OURS)
    for name, values in PARAMETERS.items():
        closed = set(literals(CreateRequest.model_fields[name].annotation))
        listed = [entry for value in values for entry in (value if name == "include" else [value])]
        assert closed <= {value for value in listed if isinstance(value, str)}, name
    for name, options in (("text", TextOptions), ("reasoning", ReasoningOptions)):
        for field, about in options.model_fields.items():
            values = [value[field] for value in PARAMETERS[name] if field in value]
            assert values, (name, field)
            if field != "format":
                assert set(literals(about.annotation)) <= set(values), (name, field)
    formats = [value["format"] for value in PARAMETERS["text"] if "format" in value]
    assert unsaid(FORMATS, formats) == set()


def literals(annotation: Any) -> Iterator[str]:
    for inner in get_args(annotation):
        if isinstance(inner, str):
            yield inner
        else:
            yield from literals(inner)
