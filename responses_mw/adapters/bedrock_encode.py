"""Builds the body of a Converse request from a turn and the rules of its model's family.

The messages themselves are built in `bedrock_content.py`. What a model cannot be told is named in
`dropped`, or refused where the turn is strict; nothing is left out in silence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import orjson

from responses_mw.adapters.anthropic_answers import AnswerFormat, answer_format, is_strict
from responses_mw.adapters.anthropic_options import (
    leave_out_the_rest,
    sampling,
    thinking_obstacle,
)
from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.bedrock_content import Conversation, conversation
from responses_mw.adapters.bedrock_media import Block
from responses_mw.adapters.bedrock_models import FamilyRules
from responses_mw.adapters.bedrock_reasoning import Reasoning, reasoning
from responses_mw.adapters.omissions import Omissions, leave_out_responses_only
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Turn

NO_CALLS = "Call no tool now; answer in words."
"""Converse has no tool_choice that forbids calls, and wants the tools of a history that has any."""

TIERS = {"default": "default", "flex": "flex", "priority": "priority", "scale": "reserved"}
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]*\Z")
_MAX_METADATA = 256
_ANY_CONTAINER = {"type": "auto"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A guardrail of Bedrock's. `stream_mode`: whether a stream waits for the verdict (sync)."""

    id: str
    version: str
    trace: Literal["enabled", "disabled", "enabled_full"] | None = None
    stream_mode: Literal["sync", "async"] | None = None

    def config(self, *, stream: bool) -> Block:
        config = {
            "guardrailIdentifier": self.id,
            "guardrailVersion": self.version,
            "trace": self.trace,
            "streamProcessingMode": self.stream_mode if stream else None,
        }
        return {key: value for key, value in config.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    max_tokens: int | None
    cache: Literal["5m", "1h"] | None
    guardrail: Guardrail | None
    latency: Literal["standard", "optimized"] | None


def encode(turn: Turn, scope: str, rules: FamilyRules, options: EncodeOptions) -> UpstreamRequest:
    return _Request(turn, scope, rules, options).build()


def model_path(model: str, operation: str) -> str:
    """Names and ARNs are one segment of the path: colons and slashes in them are encoded."""
    return f"/model/{quote(model, safe='')}/{operation}"


class _Request:
    def __init__(self, turn: Turn, scope: str, rules: FamilyRules, options: EncodeOptions) -> None:
        self.turn = turn
        self.scope = scope
        self.rules = rules
        self.options = options
        self._leave_out = Omissions(strict=turn.strict)
        self.quiet = False

    def build(self) -> UpstreamRequest:
        turn, options = self.turn, self.options
        answer = answer_format(turn, self.rules.model)
        for name in answer.left_out:
            self._leave_out(name, f"{turn.model!r} cannot be held to it by its API")
        talk = conversation(turn, self.scope, self.rules, self._leave_out)
        self._check_end(talk)
        tools, choice = self._tools(answer, talk)
        thoughts = self._reasoning(talk, forced=choice is not None)
        system = [*talk.system, *([answer.instruction] if answer.instruction else ())]
        if self.quiet:
            system.append(NO_CALLS)
        body: dict[str, Any] = {
            "messages": talk.messages,
            "system": [{"text": text} for text in system],
            "inferenceConfig": self._inference(thoughts),
            "toolConfig": _tool_config(tools, choice),
            "additionalModelRequestFields": thoughts.fields | self._parallel(tools, choice),
            "outputConfig": self._output_config(answer),
            "guardrailConfig": options.guardrail and options.guardrail.config(stream=turn.stream),
            "performanceConfig": {"latency": options.latency} if options.latency else None,
            "serviceTier": self._service_tier(),
            "requestMetadata": self._metadata(),
        }
        leave_out_the_rest(turn, "the Converse API", self._leave_out)
        leave_out_responses_only(turn, "the Converse API", self._leave_out)
        if turn.user is not None:
            self._leave_out.note("user")
        body = {key: value for key, value in body.items() if value}
        self._mark_for_cache(body)
        body = _joined(body, turn.extra_body)
        path = model_path(turn.model, "converse-stream" if turn.stream else "converse")
        headers = {name.lower(): value for name, value in turn.extra_headers.items()}
        return UpstreamRequest(path, body, headers, self._leave_out.names)

    def _check_end(self, talk: Conversation) -> None:
        if not talk.messages:
            raise UnsupportedByProvider(
                "the input says nothing; Bedrock needs a message with content", param="input"
            )
        if talk.ends_with_prefill and not self.rules.model.prefill:
            raise UnsupportedByProvider(
                f"the input ends with an assistant message, and {self.turn.model!r} cannot go on "
                "in the middle of one; end it with a user message or a tool output",
                param="input",
            )

    # --- tools

    def _tools(self, answer: AnswerFormat, talk: Conversation) -> tuple[list[Block], Block | None]:
        tools = self._offered()
        forbidden = self.turn.choice == "none"
        if answer.tool is not None:
            alone = not tools or forbidden
            choice = self._demanded(str(answer.tool["name"]) if alone else None)
            return [*tools, _tool_spec(answer.tool)], choice
        if forbidden and not talk.called:
            return [], None
        if forbidden and tools:
            self._leave_out("tool_choice", "Bedrock cannot forbid calls once there were any")
        self.quiet = bool(talk.called) and (forbidden or not tools)
        if not tools:
            return [_stand_in(name) for name in talk.called], None
        if self.turn.choice == "required":
            return tools, self._demanded(self.turn.forced_tool)
        return tools, None

    def _demanded(self, name: str | None) -> Block | None:
        """The nearest thing to a forced call that the family takes."""
        if name is not None and "tool" in self.rules.choices:
            return {"tool": {"name": name}}
        if "any" not in self.rules.choices:
            why = f"{self.turn.model!r} cannot be forced to call a tool"
            self._leave_out("tool_choice", why)
            return None
        return {"any": {}}

    def _offered(self) -> list[Block]:
        offered, forced = self.turn.offered_tools, self.turn.forced_tool
        if forced is not None and "tool" not in self.rules.choices:
            # What cannot be forced on the model is at least the only thing it is offered.
            offered = [tool for tool in offered if tool.get("name") == forced]
        return [
            self._tool(tool, f"tools[{n}]")
            for n, tool in enumerate(self.turn.tools)
            if tool in offered
        ]

    def _tool(self, tool: Mapping[str, Any], place: str) -> Block:
        # The dated and preview names of web search mean the same.
        kind = "web_search" if tool["type"].startswith("web_search") else tool["type"]
        if (hosted := self.rules.hosted_tools.get(kind)) is not None:
            return self._hosted(tool, hosted, place)
        if tool["type"] != "function":
            known = ", ".join(["functions", *self.rules.hosted_tools])
            raise UnsupportedByProvider(
                f"a tool of type {tool['type']!r} cannot be offered to {self.turn.model!r}; "
                f"offer {known}",
                param=place,
            )
        schema = {"type": "object", **(tool.get("parameters") or {"properties": {}})}
        strict = False
        if tool.get("strict"):
            strict = self.rules.model.schemas and is_strict(schema)
            if not strict:
                self._leave_out(f"{place}.strict", "its schema cannot be enforced")
        return _tool_spec({**tool, "input_schema": schema}, strict=strict)

    def _hosted(self, tool: Mapping[str, Any], name: str, place: str) -> Block:
        options = {key: value for key, value in tool.items() if value is not None and key != "type"}
        if options.get("container") == _ANY_CONTAINER:
            del options["container"]
        for key in sorted(options):
            self._leave_out(f"{place}.{key}", f"{name} takes no options")
        return {"systemTool": {"name": name}}

    def _parallel(self, tools: list[Block], choice: Block | None) -> Block:
        """Only Claude can be told, by its own field, which must not meet Bedrock's for a choice."""
        if self.turn.parallel_tool_calls or not self.turn.offered_tools or not tools or self.quiet:
            return {}
        if not self.rules.parallel_switch or choice is not None:
            why = f"{self.turn.model!r} cannot be kept from parallel calls"
            self._leave_out("parallel_tool_calls", why)
            return {}
        return {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}

    # --- reasoning and sampling

    def _reasoning(self, talk: Conversation, *, forced: bool) -> Reasoning:
        lacks = talk.loop_lacks_reasoning
        obstacle = thinking_obstacle(forced=forced, loop_lacks_thinking=lacks)
        limit = self._max_tokens() or self.rules.model.max_tokens
        return reasoning(self.turn, self.rules, obstacle, limit, self._leave_out)

    def _max_tokens(self) -> int | None:
        return self.turn.max_output_tokens or self.options.max_tokens

    def _inference(self, thoughts: Reasoning) -> Block:
        limit = thoughts.max_tokens or self._max_tokens()
        if thoughts.unlimited and limit is not None:
            self._leave_out("max_output_tokens", f"{self.turn.model!r} reasons without a limit")
            limit = None
        rules, thinks = self.rules.model, thoughts.thinks
        taken = sampling(self.turn, rules, thinks=thinks, leave_out=self._leave_out)
        config = {
            "maxTokens": limit,
            "temperature": taken["temperature"],
            "topP": taken["top_p"],
        }
        return {key: value for key, value in config.items() if value is not None}

    # --- the rest

    def _output_config(self, answer: AnswerFormat) -> Block | None:
        if answer.schema is None:
            return None
        assert self.turn.text_format is not None
        wanted = {
            "schema": orjson.dumps(answer.schema).decode(),
            "name": self.turn.text_format["name"],
            "description": self.turn.text_format.get("description"),
        }
        wanted = {key: value for key, value in wanted.items() if value is not None}
        return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": wanted}}}

    def _service_tier(self) -> Block | None:
        tier = self.turn.service_tier
        if tier in (None, "auto"):
            return None
        if tier not in TIERS:
            self._leave_out("service_tier", f"Bedrock has no {tier!r} tier")
            return None
        return {"type": TIERS[tier]}

    def _metadata(self) -> Mapping[str, str]:
        """It labels the invocation in AWS's logs; what they do not take stays with the response,
        where all of it is."""
        fits = {
            key: value
            for key, value in self.turn.metadata.items()
            if key and _METADATA.match(key) and _METADATA.match(value)
        }
        return {key: value for key, value in fits.items() if len(value) <= _MAX_METADATA}

    # --- cache points

    def _mark_for_cache(self, body: dict[str, Any]) -> None:
        """Four at most: tools, system, and the ends of this request and of the one before it.

        The next turn's request begins with all of this one, whose end it marks again: so it is read
        from the cache however many blocks a turn adds.
        """
        if self.options.cache is None:
            return
        point = {"type": "default"}
        if self.options.cache != "5m" and self.rules.long_cache:
            point["ttl"] = self.options.cache
        places: list[list[Block]] = []
        if "tools" in self.rules.cached:
            places.append((body.get("toolConfig") or {}).get("tools") or [])
        if "system" in self.rules.cached:
            places.append(body.get("system") or [])
        if "messages" in self.rules.cached:
            users = [m["content"] for m in body["messages"] if m["role"] == "user"]
            places.extend(users[-2:])
        for blocks in places:
            place = self._cache_place(blocks)
            if place:
                blocks.insert(place, {"cachePoint": point})

    def _cache_place(self, blocks: list[Block]) -> int:
        """As far back as the family takes it: behind some blocks, it is refused. 0: nowhere."""
        if not self.rules.cache_after_text:
            barred = (n for n, block in enumerate(blocks) if _bars_cache(block))
            return next(barred, len(blocks))
        if any("toolResult" in block for block in blocks):
            return 0
        texts = [n for n, block in enumerate(blocks) if "text" in block]
        return texts[-1] + 1 if texts else 0


def _joined(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """One level deep: a model's own fields are all in one object, and some of them are ours."""
    both = {k: {**body[k], **v} for k, v in extra.items() if _are_objects(body.get(k), v)}
    return {**body, **extra, **both}


def _are_objects(*values: Any) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _bars_cache(block: Block) -> bool:
    """Documents other than PDF become text on their way to Claude, and a point behind them does not
    survive that."""
    return "document" in block and block["document"]["format"] != "pdf"


def _tool_config(tools: list[Block], choice: Block | None) -> Block | None:
    if not tools:
        return None
    return {"tools": tools} if choice is None else {"tools": tools, "toolChoice": choice}


def _tool_spec(tool: Mapping[str, Any], *, strict: bool = False) -> Block:
    spec = {"name": tool["name"], "inputSchema": {"json": tool["input_schema"]}}
    if tool.get("description"):
        spec["description"] = tool["description"]
    if strict:
        spec["strict"] = True
    return {"toolSpec": spec}


def _stand_in(name: str) -> Block:
    """For a tool of the history that is offered no more."""
    return _tool_spec({"name": name, "input_schema": {"type": "object", "properties": {}}})
