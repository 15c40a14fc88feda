"""Builds the body of a Messages request from a turn and the rules of its model.

The messages themselves are built in `anthropic_content.py`. What a model cannot be told is named in
`dropped`, or refused where the turn is strict; nothing is left out in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from responses_mw.adapters.anthropic_answers import AnswerFormat, answer_format, is_strict
from responses_mw.adapters.anthropic_content import Conversation, conversation
from responses_mw.adapters.anthropic_models import ModelRules, scope_of
from responses_mw.adapters.anthropic_options import (
    Thinking,
    leave_out_the_rest,
    sampling,
    thinking,
    thinking_obstacle,
)
from responses_mw.adapters.anthropic_tools import NAMES, server_tool
from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.omissions import Omissions, leave_out_responses_only
from responses_mw.adapters.pieces import Block
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Turn

BINDING_BETA = "thinking-binding-controls-2026-08-01"

_TIERS = {"auto": "auto", "default": "standard_only", "priority": "auto"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """`max_tokens` replaces the model's default; `cache` is how long a prompt stays cached."""

    api_version: str
    max_tokens: int | None
    cache: Literal["5m", "1h"] | None
    betas: Sequence[str]
    server_tools: frozenset[str] | None = None


def encode(turn: Turn, rules: ModelRules, options: EncodeOptions) -> UpstreamRequest:
    return _Request(turn, rules, options).build()


class _Request:
    def __init__(self, turn: Turn, rules: ModelRules, options: EncodeOptions) -> None:
        self.turn = turn
        self.rules = rules
        self.options = options
        self._leave_out = Omissions(strict=turn.strict)
        self.betas = dict.fromkeys(options.betas)
        self.servers: list[Block] = []

    def build(self) -> UpstreamRequest:
        turn = self.turn
        answer = answer_format(turn, self.rules)
        for name in answer.left_out:
            self._leave_out(name, f"{turn.model!r} cannot be held to it by its API")
        talk = conversation(turn, scope_of(turn), self._leave_out)
        self._check_end(talk)
        tools, choice = self._tools(answer)
        max_tokens = turn.max_output_tokens or self.options.max_tokens or self.rules.max_tokens
        thoughts = self._thinking(talk, max_tokens, forced=_is_forced(choice))
        if self.rules.bound_thinking and "block_binding" not in (thoughts.field or ()):
            # A mode of thinking that cannot ask for stale blocks to be dropped.
            talk.leave_thinking_out()
        body: dict[str, Any] = {
            "model": turn.model,
            "max_tokens": max_tokens,
            "system": [*talk.system, *_instruction(answer)],
            "messages": talk.messages,
            "tools": tools,
            "mcp_servers": self.servers,
            "tool_choice": choice,
            "thinking": thoughts.field,
            "output_config": _output_config(answer, thoughts.effort),
            "metadata": {"user_id": turn.user} if turn.user else None,
            "service_tier": self._service_tier(),
            "stream": turn.stream or None,
            **self._sampling(thoughts),
        }
        leave_out_the_rest(turn, "the Messages API", self._leave_out)
        leave_out_responses_only(turn, "the Messages API", self._leave_out)
        body = {key: value for key, value in body.items() if value not in (None, [], {})}
        self._mark_for_cache(body)
        self.betas.update(dict.fromkeys(sorted(talk.betas)))
        body.update(turn.extra_body)
        return UpstreamRequest("/v1/messages", body, self._headers(), self._leave_out.names)

    def _check_end(self, talk: Conversation) -> None:
        if not talk.messages:
            raise UnsupportedByProvider(
                "the input says nothing; the Messages API needs a message with content",
                param="input",
            )
        if talk.ends_with_prefill and not self.rules.prefill:
            raise UnsupportedByProvider(
                f"the input ends with an assistant message, and {self.turn.model!r} cannot go on "
                "in the middle of one; end it with a user message or a tool output",
                param="input",
            )

    # --- tools

    def _tools(self, answer: AnswerFormat) -> tuple[list[Block], Block | None]:
        offered, demanded = self.turn.offered_tools, self.turn.forced_tool
        if demanded is not None and not self.rules.forced_tools:
            # What cannot be forced on the model is at least the only thing it is offered.
            offered = [tool for tool in offered if tool.get("name") == demanded]
        tools = self._offered(offered)
        if answer.tool is None:
            return tools, self._choice(tools)
        if not tools or self.turn.choice == "none":
            only = {"type": "tool", "name": answer.tool_name, "disable_parallel_tool_use": True}
            return [*tools, dict(answer.tool)], only
        return [*tools, dict(answer.tool)], self._parallel({"type": "any"})

    def _offered(self, offered: Sequence[Mapping[str, Any]]) -> list[Block]:
        return [
            self._tool(tool, f"tools[{n}]")
            for n, tool in enumerate(self.turn.tools)
            if tool in offered
        ]

    def _tool(self, tool: Mapping[str, Any], place: str) -> Block:
        if tool["type"] != "function":
            return self._server_tool(tool, place)
        schema = tool.get("parameters") or {"properties": {}}
        block = {"name": tool["name"], "input_schema": {"type": "object", **schema}}
        if tool.get("description"):
            block["description"] = tool["description"]
        if tool.get("strict"):
            if self.rules.schemas and is_strict(schema):
                block["strict"] = True
            else:
                self._leave_out(f"{place}.strict", "its schema cannot be enforced")
        return block

    def _server_tool(self, tool: Mapping[str, Any], place: str) -> Block:
        run = self.options.server_tools
        name = NAMES.get(tool["type"], tool["type"])
        here = self.rules.server_tools and (run is None or name in run)
        known = server_tool(tool, place, self._leave_out) if here else None
        if known is None:
            raise UnsupportedByProvider(
                f"a tool of type {tool['type']!r} cannot be offered to {self.turn.model!r}; "
                "offer functions",
                param=place,
            )
        if known.server is not None:
            self.servers.append(known.server)
        if known.beta is not None:
            self.betas[known.beta] = None
        return known.block

    def _choice(self, tools: list[Block]) -> Block | None:
        if not tools:
            return None
        choice = self.turn.choice
        if choice == "required" and not self.rules.forced_tools:
            self._leave_out("tool_choice", f"{self.turn.model!r} cannot be forced to call a tool")
            choice = "auto"
        match choice:
            case "none":
                return {"type": "none"}
            case "required" if self.turn.forced_tool is not None:
                return self._parallel({"type": "tool", "name": self.turn.forced_tool})
            case "required" if (hosted := self._forced_hosted()) is not None:
                return self._parallel({"type": "tool", "name": hosted})
            case "required":
                return self._parallel({"type": "any"})
            case _:
                # "auto" is the default: said only if there is something to add to it.
                return None if self.turn.parallel_tool_calls else self._parallel({"type": "auto"})

    def _forced_hosted(self) -> str | None:
        choice = self.turn.tool_choice
        return None if isinstance(choice, str) else NAMES.get(str(choice.get("type")))

    def _parallel(self, choice: Block) -> Block:
        if not self.turn.parallel_tool_calls:
            choice["disable_parallel_tool_use"] = True
        return choice

    # --- thinking

    def _thinking(self, talk: Conversation, max_tokens: int, *, forced: bool) -> Thinking:
        lacks = talk.loop_lacks_thinking
        obstacle = thinking_obstacle(forced=forced, loop_lacks_thinking=lacks)
        found = thinking(self.turn, self.rules, obstacle, max_tokens, self._leave_out)
        if not self.rules.bound_thinking or not (found.field is None or found.is_on):
            return found
        # Instructions and tools may differ from those a stored block was made under.
        self.betas[BINDING_BETA] = None
        binding = {"block_binding": {"prefix_mismatch_behavior": "drop_block"}}
        return replace(found, field={**(found.field or {"type": "adaptive"}), **binding})

    # --- the rest

    def _sampling(self, thoughts: Thinking) -> dict[str, float | None]:
        rules = self.rules
        if self.options.api_version >= "2026-10-21":
            rules = replace(rules, sampling="none")
        return sampling(self.turn, rules, thinks=thoughts.is_on, leave_out=self._leave_out)

    def _service_tier(self) -> str | None:
        tier = self.turn.service_tier
        if tier is None or tier in _TIERS:
            return None if tier is None else _TIERS[tier]
        self._leave_out("service_tier", f"the Messages API has no {tier!r} tier")
        return None

    def _mark_for_cache(self, body: dict[str, Any]) -> None:
        """Four breakpoints: tools, system, and the ends of this request and of the one before it.

        The next turn's request begins with all of this one, whose end it marks again: so it is read
        from the cache however many blocks a turn adds (a lookup goes back twenty).
        """
        if self.options.cache is None or not self.rules.caching:
            return
        mark: Block = {"type": "ephemeral"}
        if self.options.cache != "5m":
            mark["ttl"] = self.options.cache
        users = [m["content"] for m in body["messages"] if m["role"] == "user"]
        for blocks in (body.get("tools"), body.get("system"), *users[-2:]):
            if blocks:
                blocks[-1] = {**blocks[-1], "cache_control": mark}

    def _headers(self) -> dict[str, str]:
        extra = {name.lower(): value for name, value in self.turn.extra_headers.items()}
        betas = self.betas | dict.fromkeys(_split(extra.get("anthropic-beta", "")))
        headers = {"anthropic-version": self.options.api_version, **extra}
        if betas:
            headers["anthropic-beta"] = ",".join(betas)
        return headers


def _is_forced(choice: Block | None) -> bool:
    return choice is not None and choice["type"] in ("any", "tool")


def _instruction(answer: AnswerFormat) -> list[Block]:
    if answer.instruction is None:
        return []
    return [{"type": "text", "text": answer.instruction}]


def _output_config(answer: AnswerFormat, effort: str | None) -> Block:
    config: Block = {}
    if answer.schema is not None:
        config["format"] = {"type": "json_schema", "schema": answer.schema}
    if effort is not None:
        config["effort"] = effort
    return config


def _split(betas: str) -> list[str]:
    return [name.strip() for name in betas.split(",") if name.strip()]
