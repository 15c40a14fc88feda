"""What a client may ask when it creates a response: every parameter, its type and its limits.

What a parameter means is decided elsewhere; what it must look like, here. Items are checked in
`items`, tools in `tool_schema`. Whatever is wrong is one InvalidRequest that names the parameter.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from responses_mw import checks, later
from responses_mw.checks import MAX_TEXT, Shape, Wrong
from responses_mw.errors import InvalidRequest
from responses_mw.items import Item, check_items, is_trigger
from responses_mw.json_body import decoded
from responses_mw.json_schema import said_as
from responses_mw.metadata import Metadata
from responses_mw.parts import OTHERS as MESSAGE_PARTS
from responses_mw.parts import SHAPES as PARTS
from responses_mw.tool_schema import check_choice, check_tools, with_mode
from responses_mw.turn import Beginning, Span, Turn

Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Summary = Literal["auto", "concise", "detailed"]
_PRIVATE = ("instructions", "metadata", "user", "safety_identifier")
_MOST_NAMES = 100
"""More than any object here knows."""


_NAME = re.compile(r"^(?!(.*/)?\.\.?(/|$))[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")


def _name(given: str) -> str:
    # It goes into headers, lines of logs, and the addresses of upstreams, where `..` leads away.
    if _NAME.fullmatch(given) is None:
        raise PydanticCustomError("name", "is no name")
    return given


ModelName = Annotated[
    str,
    Field(min_length=1, max_length=512, json_schema_extra={"pattern": _NAME.pattern}),
    AfterValidator(_name),
]


class _Parameters(BaseModel):
    """JSON types are exact: "yes" is no boolean, true is no integer. Null means: not set, but where
    it is itself what is to be."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    null_is_unset: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        known = cls.model_fields
        if len(given) > _MOST_NAMES:  # the first that are unknown say enough
            unknown = islice((name for name in given if name not in known), _MOST_NAMES)
            return {name: given[name] for name in (*(known.keys() & given.keys()), *unknown)}
        if None not in given.values() or not cls.null_is_unset:
            return given
        return {name: v for name, v in given.items() if v is not None or name not in known}


def _frozen(default: Any) -> Any:
    """A default that nobody can change need not be copied for each request."""
    return Field(default_factory=lambda: default)


class RequestBody(_Parameters):
    """The body of a request, made by `parse` and `of` only: they check what a model leaves out."""

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """From the bytes of an HTTP request. Raises InvalidRequest and nothing else."""
        return cls.of(decoded(body))

    @classmethod
    def of(cls, body: Any) -> Self:
        """From JSON already read. `body` is neither changed nor copied. Raises InvalidRequest."""
        if not isinstance(body, dict):
            raise InvalidRequest(
                f"The body must be a JSON object, not {checks.kind(body)}.",
                code=checks.INVALID_TYPE,
            )
        try:
            # Before all else: a `prompt`, say, could stand for the model and the input that are
            # missing.
            if path := later.found_in(body):
                raise Wrong(path, "is not supported yet; leave it out", checks.UNSUPPORTED)
            return cls.model_validate(body)._checked()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise checks.wrong_by_model(first, private=_PRIVATE).error() from None
        except Wrong as wrong:
            raise wrong.error() from None

    def _checked(self) -> Self:
        """For what pydantic is not asked. Raises Wrong."""
        return self


class StreamOptions(_Parameters):
    include_obfuscation: bool = False


class BackgroundOptions(_Parameters):
    completion_window: Literal["soonest", "2h", "8h"] = "soonest"
    continuation_id: str | None = None


class TextOptions(_Parameters):
    format: SkipValidation[dict[str, Any]] = Field(default={"type": "text"})
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(_Parameters):
    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: Literal["standard", "pro"] | None = None


class PromptCacheOptions(_Parameters):
    mode: Literal["implicit", "explicit"] = "implicit"
    ttl: Literal["30m", "12h"] = "30m"
    prewarm: bool = False
    comparison_response_id: str | None = None


class ContextManagement(_Parameters):
    """Without a threshold, the model's window is one."""

    type: Literal["compaction"]
    compact_threshold: Annotated[int, Field(ge=1000)] | None = None


class PromptReference(_Parameters):
    id: Annotated[str, Field(min_length=1)]
    version: str | None = None
    variables: SkipValidation[Any] = None


class CreateRequest(RequestBody):
    """One request to create a response.

    Made by `parse` and `of` only: what the model skips they check by tables, at a fraction of the
    price of a model per item and tool. An `allowed_tools` choice always has its mode. Only a
    `prompt` may stand for the model and the input.
    """

    model: ModelName = ""
    input: SkipValidation[str | list[Item]] = ""
    instructions: str | None = None
    previous_response_id: Annotated[str, Field(min_length=1)] | None = None
    conversation: SkipValidation[Any] = None
    prompt: PromptReference | None = None
    context_management: Annotated[list[ContextManagement], Field(fail_fast=True)] | None = None
    truncation: Literal["auto", "disabled"] = "disabled"

    stream: bool = False
    stream_options: StreamOptions = _frozen(StreamOptions())
    background: bool = False
    background_options: BackgroundOptions | None = None
    store: bool = True
    include: list[Include] = Field(default_factory=list, fail_fast=True)
    metadata: Metadata = Field(default_factory=dict)

    tools: SkipValidation[list[dict[str, Any]]] = Field(default_factory=list)
    tool_choice: SkipValidation[str | Mapping[str, Any]] = "auto"
    parallel_tool_calls: bool = True
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None

    text: TextOptions = _frozen(TextOptions())
    reasoning: ReasoningOptions = _frozen(ReasoningOptions())
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    service_tier: (
        Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None
    ) = None
    # The published documents disagree on 64 or 128.
    safety_identifier: Annotated[str, Field(max_length=128)] | None = None
    user: str | None = None
    prompt_cache_key: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    moderation: SkipValidation[Any] = None
    access_programs: SkipValidation[Any] = None
    # In no published document, but Codex sends it with every request: which session and folder
    # asks. It is read nowhere.
    client_metadata: dict[str, Any] | None = None
    image: SkipValidation[Any] = None

    def _checked(self) -> Self:
        if self.prompt is None:
            for name in ("model", "input"):
                if name not in self.model_fields_set:
                    raise checks.missing(name)
        else:
            _at("prompt.variables", check_variables, self.prompt.variables)
        _at("input", check_input, self.input)
        _at("conversation", check_conversation, self.conversation)
        if self.conversation is not None and self.previous_response_id is not None:
            problem = "cannot be sent together with previous_response_id"
            raise Wrong("conversation", problem, checks.EXCLUSIVE)
        if self.conversation is not None and not self.store:
            raise Wrong("conversation", "needs store: true, for its turns are kept in it")
        _at("tools", check_tools, self.tools)
        _at("tool_choice", lambda choice: check_choice(choice, self.tools), self.tool_choice)
        _at("text.format", lambda format: checks.check_typed(format, FORMATS), self.text.format)
        checks.not_too_deep(self.tools, "tools")
        checks.not_too_deep(self.tool_choice, "tool_choice")
        checks.not_too_deep(self.text.format, "text.format")
        choice = with_mode(self.tool_choice)
        return (
            self if choice is self.tool_choice else self.model_copy(update={"tool_choice": choice})
        )

    def sent(self) -> dict[str, Any]:
        """What was set, as JSON, without the input: enough for `of` to make it again. What asks
        for a compaction stays."""
        kept = self.input[-1:] if self.is_triggered else ""
        return {**self.model_dump(exclude_unset=True), "input": kept}

    @property
    def conversation_id(self) -> str | None:
        given: Any = self.conversation
        id: str | None = given["id"] if isinstance(given, dict) else given
        return id

    @property
    def items(self) -> Sequence[Item]:
        """The input as items, as the client sent them, without what asks for a compaction; text is
        one user message."""
        if isinstance(self.input, str):
            return [{"type": "message", "role": "user", "content": self.input}]
        return self.input[:-1] if self.is_triggered else self.input

    @property
    def is_triggered(self) -> bool:
        """Whether the conversation shall be compacted, and nothing answered."""
        given = self.input
        return type(given) is list and bool(given) and is_trigger(given[-1])

    @property
    def text_format(self) -> dict[str, Any]:
        """`text.format` with every key that its type has."""
        if self.text.format["type"] != "json_schema":
            return {"type": self.text.format["type"]}
        return {"description": None, "strict": False, **checks.without_nulls(self.text.format)}

    @property
    def wants_logprobs(self) -> bool:
        return "message.output_text.logprobs" in self.include

    @property
    def wants_encrypted_reasoning(self) -> bool:
        return "reasoning.encrypted_content" in self.include


_PASSED_ON: Any = dict.fromkeys(
    ["include", "max_tool_calls", "prompt_cache_options", "prompt_cache_retention"], True
) | {"reasoning": {"context", "mode"}}


def _passed_on(request: CreateRequest) -> dict[str, Any]:
    """What only an upstream of the same API is told, where it was sent."""
    sent = request.model_fields_set
    told: dict[str, Any] = {"store": request.store} if "store" in sent else {}
    if not sent.isdisjoint(_PASSED_ON):
        told |= request.model_dump(include=_PASSED_ON, exclude_unset=True, exclude_none=True)
    return told


def turn_from(
    request: CreateRequest,
    spans: Sequence[Span],
    model: str,
    *,
    beginning: Beginning | None = None,
) -> Turn:
    """One model call; `spans` hold the history and the stored form of the request's own input."""
    text_format = request.text_format
    reasoning = request.reasoning
    return Turn(
        model=model,
        spans=spans,
        instructions=request.instructions,
        tools=request.tools,
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        max_output_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        logprobs=request.wants_logprobs,
        top_logprobs=request.top_logprobs,
        text_format=None if text_format["type"] == "text" else text_format,
        verbosity=request.text.verbosity,
        reasoning_effort=reasoning.effort,
        reasoning_summary=reasoning.summary or reasoning.generate_summary,
        service_tier=request.service_tier,
        user=request.safety_identifier or request.user,
        prompt_cache_key=request.prompt_cache_key,
        metadata=request.metadata,
        stream=request.stream,
        encrypted_reasoning=request.wants_encrypted_reasoning,
        passed_on=_passed_on(request),
        beginning=beginning,
    )


# --- what the model leaves out

_FORMAT_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


@said_as({"pattern": _FORMAT_NAME.pattern})
def _format_name(value: Any, at: str) -> None:
    if _FORMAT_NAME.fullmatch(value) is None:
        raise Wrong(at, "must be 1 to 64 letters, digits, underscores or hyphens")


FORMATS: Mapping[str, Shape] = {
    "text": Shape(),
    "json_object": Shape(),
    "json_schema": Shape(
        [
            checks.Field("name", str, required=True, check=_format_name),
            checks.Field("schema", dict, required=True),
            checks.Field("strict", bool),
            checks.Field("description", str),
        ]
    ),
}


def _at(place: str, check: Any, value: Any) -> None:
    try:
        check(value)
    except Wrong as wrong:
        raise wrong.under(place) from None


def check_conversation(value: Any) -> None:
    id = value.get("id") if isinstance(value, dict) else value
    if value is not None and (not isinstance(id, str) or not id):
        raise checks.wrong_type("", value, "the id of a conversation, or an object with that id")


def check_variables(value: Any) -> None:
    """Texts, or the parts that a message may have."""
    if value is None:
        return
    if type(value) is not dict:
        raise checks.wrong_type("", value, "an object")
    for name, given in value.items():
        if type(given) is not str:
            _at(name, lambda part: checks.check_typed(part, PARTS, of=MESSAGE_PARTS), given)


def check_input(value: Any) -> None:
    if type(value) is str:
        checks.length(0, MAX_TEXT)(value, "")
    elif type(value) is list:
        check_items(value)
    else:
        raise checks.wrong_type("", value, "a string or an array of items")
