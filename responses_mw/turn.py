"""One model call: everything a provider is told, and nothing about ids, stores or sockets.

The conversation arrives as spans, oldest first. A span is a run of Responses items that belong
together; if it came from a provider, it may carry the same content in that provider's own form
(`native`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal

from responses_mw.deltas import NativeTurn

Item = dict[str, Any]
"""One Responses item, wire JSON, already validated and normalised: messages have `type` and a list
as `content`. Shared and never modified."""

CALLS = ("function_call", "custom_tool_call")
"""The types of items whose output a client sends, of tools that it named."""


@dataclass(frozen=True, slots=True)
class Span:
    """`native` says the same as `items`: a whole assistant turn, or one reasoning item a client
    sent back."""

    items: Sequence[Item]
    native: NativeTurn | None = None


@dataclass(slots=True)
class Written:
    """What an adapter's format says of these spans, in bytes."""

    spans: Sequence[Span]
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first `spans` of a turn, which later turns of its conversation have, too; and what
    adapters wrote of the first of them, by format."""

    spans: int
    written: dict[str, Written]


ToolChoice = Literal["none", "auto", "required"]


@dataclass(frozen=True, slots=True)
class Turn:
    """Unset options are None: an adapter leaves them out, so that the upstream's default holds.

    `model` is the upstream's own name for the model. `tools` and `tool_choice` are as the client
    sent them; adapters read `offered_tools`, `choice` and `forced_tool` instead.
    """

    model: str
    spans: Sequence[Span]
    instructions: str | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    parallel_tool_calls: bool = True
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    text_format: Mapping[str, Any] | None = None
    """`{"type": "json_object"}` or `{"type": "json_schema", name, schema, strict, description}`;
    None: text."""
    verbosity: str | None = None
    reasoning_effort: str | None = None
    reasoning_summary: str | None = None
    service_tier: str | None = None
    user: str | None = None
    """`safety_identifier`, else `user`: who the end user is, for the upstream's abuse detection."""
    prompt_cache_key: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    """How the client asked; a provider answers whole for whole where it can."""
    encrypted_reasoning: bool = False
    """The client keeps state itself and asked for `reasoning.encrypted_content`."""
    strict: bool = False
    """Refuse with UnsupportedByProvider what would otherwise be left out and named in `dropped`."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    passed_on: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that only an upstream which speaks Responses itself has a word for, as the client
    sent them: include, reasoning.context, prompt_cache_options, ...; and `store`."""
    continuation: Any = None
    """Opaque, and set only for the deployment that issued it."""
    beginning: Beginning | None = field(default=None, repr=False, compare=False)

    def under(self, model: str) -> "Turn":
        """The same under another name of the model. Each turn is asked under one, and
        `dataclasses.replace` takes four times as long."""
        made = object.__new__(Turn)
        for put, value in zip(_PUT, _VALUES(self), strict=True):
            put(made, value)
        _PUT[0](made, model)
        return made

    def replay(self, scope: str) -> Iterator[Item | Span]:
        """The conversation in order: a whole Span where its native form is of `scope`, else single
        items."""
        return replay(self.spans, scope)

    @property
    def items(self) -> Iterator[Item]:
        for span in self.spans:
            yield from span.items

    @property
    def offered_tools(self) -> Sequence[Mapping[str, Any]]:
        """`tools`, narrowed to the subset that `tool_choice: allowed_tools` names."""
        if isinstance(self.tool_choice, str) or self.tool_choice.get("type") != "allowed_tools":
            return self.tools
        allowed = [_identity(tool) for tool in self.tool_choice["tools"]]
        return [tool for tool in self.tools if _identity(tool) in allowed]

    @property
    def callable_tools(self) -> frozenset[str] | None:
        """None where any call is the model's own business: no tool_choice narrowed it."""
        if self.choice == "none":
            return frozenset()
        if self.forced_tool is not None:
            return frozenset({self.forced_tool})
        if len(self.offered_tools) < len(self.tools):
            return frozenset(name for tool in self.offered_tools for name in _names(tool))
        return None

    @property
    def choice(self) -> ToolChoice:
        """Whether a tool must, may or must not be called; a forced tool is `required`."""
        choice = self.tool_choice
        if not isinstance(choice, str):
            choice = choice["mode"] if choice.get("type") == "allowed_tools" else "required"
        match choice:
            case "none" | "auto" | "required":
                return choice
            case other:
                raise ValueError(f"tool_choice {other!r} passed validation and has no meaning")

    @property
    def forced_tool(self) -> str | None:
        """The name of the one function that must be called."""
        if isinstance(self.tool_choice, str) or self.tool_choice.get("type") != "function":
            return None
        return str(self.tool_choice["name"])


def replay(spans: Iterable[Span], scope: str) -> Iterator[Item | Span]:
    """As `Turn.replay`."""
    for span in spans:
        if span.native is not None and span.native.scope == scope:
            yield span
        else:
            yield from span.items


_NAMES = [each.name for each in fields(Turn)]
_VALUES = attrgetter(*_NAMES)
_PUT = [getattr(Turn, name).__set__ for name in _NAMES]
"""The slots of a turn, `model` first."""


def _names(tool: Mapping[str, Any]) -> Iterator[str]:
    """Those that calls of it have."""
    if tool.get("type") == "namespace":
        yield from (nested["name"] for nested in tool["tools"])
    else:
        yield str(tool.get("name"))


def _identity(tool: Mapping[str, Any]) -> tuple[Any, ...]:
    return tool.get("type"), tool.get("name"), tool.get("server_label")
