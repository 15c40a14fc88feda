"""Writes a turn as the body of a Responses request: parameters and tools.

`openai_responses_items` writes the conversation. What an upstream's dialect does not know is named
in `dropped`, or refused where the turn is strict.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.openai_responses_dialects import ResponsesDialect
from responses_mw.adapters.openai_responses_items import InputWriter
from responses_mw.adapters.openai_responses_state import kept_upstream
from responses_mw.adapters.parameters import Parameters
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Span, Turn

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"

_COUNTED = (
    "model", "input", "instructions", "tools", "tool_choice", "text", "reasoning",
    "parallel_tool_calls",
)  # fmt: skip


def is_plain(model: str, dialect: ResponsesDialect) -> bool:
    """A model that does not reason, and refuses to be asked about it."""
    return dialect.plain_models is not None and re.match(dialect.plain_models, model) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """`keep`: the upstream is to keep the answer. `continued`: it may be asked by an id that it
    gave before."""

    path: str
    scope: str
    keep: bool = False
    continued: bool = False


def encode_turn(turn: Turn, dialect: ResponsesDialect, options: EncodeOptions) -> UpstreamRequest:
    """Raises UnsupportedByProvider; in a strict turn also for what would otherwise be dropped."""
    request = _Request(turn, dialect)
    request.conversation(options)
    request.sampling()
    request.tools()
    request.text()
    request.reasoning()
    request.identity()
    request.passed_on()
    if turn.strict and request.dropped:
        field = request.dropped[0]
        raise UnsupportedByProvider(
            f"{dialect.name} has no parameter for {field}; leave it out, or allow it to be dropped",
            param=field,
        )
    request.body.update(turn.extra_body)
    dropped = tuple(dict.fromkeys([*request.dropped, *request.hints]))
    return UpstreamRequest(options.path, request.body, turn.extra_headers, dropped)


def encode_count(turn: Turn, dialect: ResponsesDialect, options: EncodeOptions) -> UpstreamRequest:
    body = encode_turn(turn, dialect, options).body
    counted = {key: body[key] for key in _COUNTED if key in body}
    path, question, query = options.path.partition("?")
    return UpstreamRequest(f"{path}/input_tokens{question}{query}", counted, turn.extra_headers)


class _Request(Parameters):
    def __init__(self, turn: Turn, dialect: ResponsesDialect) -> None:
        super().__init__(turn.model)
        self._turn = turn
        self._dialect = dialect

    def conversation(self, options: EncodeOptions) -> None:
        turn, body = self._turn, self.body
        sent: Sequence[Span] = turn.spans
        body["store"] = options.keep
        if options.continued:
            kept, sent = kept_upstream(turn.spans, options.scope)
            self.put("previous_response_id", kept)
        known = turn.spans[: len(turn.spans) - len(sent)]
        writer = InputWriter(self._dialect, self.dropped)
        for span in known:
            if span.native is not None and span.native.scope == options.scope:
                writer.learn(span)
        entries = replace(turn, spans=sent).replay(options.scope)
        body["input"] = [item for entry in entries for item in writer.written(entry)]
        self.put("instructions", turn.instructions)
        if turn.stream:
            body["stream"] = True

    def sampling(self) -> None:
        turn, known = self._turn, self._dialect
        self.put("temperature", turn.temperature)
        self.put("top_p", turn.top_p)
        self.put("max_output_tokens", turn.max_output_tokens)
        for name in ("presence_penalty", "frequency_penalty"):
            self.put_or_drop(name, getattr(turn, name) or None, known=known.penalties)
        self.put_or_drop("top_logprobs", turn.top_logprobs, known=known.logprobs)

    # --- tools

    def tools(self) -> None:
        turn, known = self._turn, self._dialect
        narrowed = not known.allowed_tools and len(turn.offered_tools) < len(turn.tools)
        offered = turn.offered_tools if narrowed else turn.tools
        for index, tool in enumerate(turn.tools):
            if known.tools is not None and tool.get("type") not in known.tools:
                raise UnsupportedByProvider(
                    f"{known.name} cannot run a tool of type {tool.get('type')!r}; "
                    f"it knows {', '.join(sorted(known.tools))}",
                    param=f"tools[{index}]",
                )
        if not offered:
            return
        self.body["tools"] = [dict(tool) for tool in offered]
        self.put("tool_choice", self._choice())
        if not turn.parallel_tool_calls:
            self.body["parallel_tool_calls"] = False

    def _choice(self) -> str | Mapping[str, Any] | None:
        choice = self._turn.tool_choice
        allowed = not isinstance(choice, str) and choice.get("type") == "allowed_tools"
        if allowed and (self._turn.choice == "none" or not self._dialect.allowed_tools):
            choice = self._turn.choice  # OpenAI's own allow nothing to be called by this word only
        return None if choice == "auto" else choice

    # --- text and reasoning

    def text(self) -> None:
        turn = self._turn
        text: dict[str, Any] = {}
        if turn.text_format is not None:
            text["format"] = _without_nulls(turn.text_format)
        if turn.verbosity is not None:
            if self._dialect.verbosity:
                text["verbosity"] = turn.verbosity
            elif turn.verbosity != "medium":
                self.dropped.append("text.verbosity")
        self.put("text", text or None)

    def reasoning(self) -> None:
        turn = self._turn
        wanted = {"effort": turn.reasoning_effort, "summary": turn.reasoning_summary}
        if self._dialect.passes_on:
            wanted |= turn.passed_on.get("reasoning", {})
        self.put("reasoning", _without_nulls(wanted) or None)
        include = [LOGPROBS] if turn.logprobs and self._dialect.logprobs else []
        if turn.logprobs and not self._dialect.logprobs:
            self.dropped.append("top_logprobs")
        if self._dialect.encrypted_reasoning and not is_plain(turn.model, self._dialect):
            include.append(ENCRYPTED)
        if self._dialect.passes_on:
            told = (ENCRYPTED, LOGPROBS)
            include += [name for name in turn.passed_on.get("include", ()) if name not in told]
        self.put("include", include or None)

    # --- the rest

    def identity(self) -> None:
        """Who asks, and at which tier."""
        turn, known = self._turn, self._dialect
        self.hint("user", turn.user, known.user_field)
        key = "prompt_cache_key"
        self.hint(key, turn.prompt_cache_key, key if known.prompt_cache_key else None)
        if known.service_tiers or turn.service_tier not in ("auto", "default"):
            self.put_or_drop("service_tier", turn.service_tier, known=known.service_tiers)

    def passed_on(self) -> None:
        if not self._dialect.passes_on:
            self.leave_out(self._turn)
            return
        here = ("include", "reasoning", "store")
        said = {key: value for key, value in self._turn.passed_on.items() if key not in here}
        if said.get("prompt_cache_retention") == "in-memory":  # as it was documented once
            said["prompt_cache_retention"] = "in_memory"
        self.body.update(said)


def _without_nulls(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}
