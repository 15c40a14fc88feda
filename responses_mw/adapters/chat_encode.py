"""Writes a turn as the body of a chat completions request.

Parameters and tools stand here, each with what a dialect does about it; `chat_messages` writes the
conversation.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.chat_dialects import ChatDialect
from responses_mw.adapters.chat_messages import write_messages
from responses_mw.adapters.parameters import Parameters
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Turn

PATH = "/chat/completions"
ANY_OBJECT: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "schema": {"type": "object"}},
}
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


def encode_turn(turn: Turn, dialect: ChatDialect, *, scope: str) -> UpstreamRequest:
    """Raises UnsupportedByProvider; in a strict turn also for what would otherwise be dropped."""
    request = _Request(turn, dialect)
    request.body["messages"] = write_messages(turn, dialect, scope=scope, dropped=request.dropped)
    request.sampling()
    request.tools()
    request.text_format()
    request.reasoning()
    request.identity()
    request.streaming()
    request.leave_out(turn)
    if turn.strict and request.dropped:
        field = request.dropped[0]
        raise UnsupportedByProvider(
            f"{dialect.name} has no parameter for {field}; leave it out, or allow it to be dropped",
            param=field,
        )
    if turn.extra_body.get("n", 1) != 1:
        raise UnsupportedByProvider("a response has one answer; leave n out", param="n")
    request.body.update(turn.extra_body)
    dropped = (*request.dropped, *request.hints)
    return UpstreamRequest(PATH, request.body, turn.extra_headers, dropped)


_RESPONSES_ONLY = ("ultrafast",)
"""Tiers that chat completions do not have, at OpenAI itself."""


class _Request(Parameters):
    def __init__(self, turn: Turn, dialect: ChatDialect) -> None:
        super().__init__(turn.model)
        self._turn = turn
        self._dialect = dialect

    def sampling(self) -> None:
        turn, known = self._turn, self._dialect
        self.put("temperature", turn.temperature)
        self.put("top_p", turn.top_p)
        self.put(known.max_tokens_field, turn.max_output_tokens)
        for name in ("presence_penalty", "frequency_penalty"):
            self.put_or_drop(name, getattr(turn, name) or None, known=known.penalties)
        if turn.logprobs or turn.top_logprobs:
            self.put_or_drop("logprobs", True, known=known.logprobs, field="top_logprobs")
        if known.logprobs and turn.top_logprobs:
            self.body["top_logprobs"] = turn.top_logprobs

    # --- tools

    def tools(self) -> None:
        turn, known = self._turn, self._dialect
        offered = turn.offered_tools
        wire = [self._tool(index, tool) for index, tool in enumerate(turn.tools) if tool in offered]
        if not wire:
            return
        choice = turn.choice
        if known.tool_choice or choice == "auto":
            self.body["tools"] = wire
            self._tool_choice(choice)
        elif choice == "none":
            return  # tools that may not be called need not be offered
        else:
            self.dropped.append("tool_choice")
            only = turn.forced_tool
            self.body["tools"] = wire if only is None else _only(only, wire)
        self._parallel()

    def _tool(self, index: int, tool: Mapping[str, Any]) -> dict[str, Any]:
        if tool.get("type") != "function":
            raise UnsupportedByProvider(
                f"{self._dialect.name} cannot run a tool of type {tool.get('type')!r}; "
                "only functions can be called",
                param=f"tools[{index}]",
            )
        function = {"name": tool["name"], "parameters": tool.get("parameters") or NO_PARAMETERS}
        if tool.get("description"):
            function["description"] = tool["description"]
        if tool.get("strict"):
            if self._dialect.strict_tools:
                function["strict"] = True
            else:
                self.dropped.append(f"tools[{index}].strict")
        return {"type": "function", "function": function}

    def _tool_choice(self, choice: str) -> None:
        kind = self._turn.tool_choice
        if isinstance(kind, Mapping) and kind.get("type") not in ("function", "allowed_tools"):
            raise UnsupportedByProvider(
                f"{self._dialect.name} cannot be made to call {kind.get('type')!r}; "
                "only functions can be called",
                param="tool_choice",
            )
        forced = self._turn.forced_tool
        if forced is not None and self._dialect.named_choice:
            self.body["tool_choice"] = {"type": "function", "function": {"name": forced}}
        elif forced is not None:
            self.body["tools"] = _only(forced, self.body["tools"])
            self.body["tool_choice"] = self._dialect.required_choice
        elif choice == "required":
            self.body["tool_choice"] = self._dialect.required_choice
        elif choice == "none":
            self.body["tool_choice"] = "none"

    def _parallel(self) -> None:
        allowed, known = self._turn.parallel_tool_calls, self._dialect.parallel_tool_calls
        if known == "always" or (known is not None and not allowed):
            self.body["parallel_tool_calls"] = allowed
        elif not allowed:
            self.dropped.append("parallel_tool_calls")

    # --- text and reasoning

    def text_format(self) -> None:
        known, wanted = self._dialect, self._turn.text_format
        if known.verbosity or self._turn.verbosity != "medium":  # which is the default
            field = "text.verbosity"
            self.put_or_drop("verbosity", self._turn.verbosity, known=known.verbosity, field=field)
        if wanted is None or wanted["type"] == "text":
            return
        if wanted["type"] == "json_object" and not known.json_object:
            self.body["response_format"] = ANY_OBJECT
        elif wanted["type"] == "json_object" or not known.json_schema:
            self.body["response_format"] = {"type": "json_object"}
        if wanted["type"] != "json_schema":
            return
        if known.json_schema:
            named = ("name", "schema", "strict", "description")
            schema = {key: wanted[key] for key in named if wanted.get(key) is not None}
            self.body["response_format"] = {"type": "json_schema", "json_schema": schema}
        else:
            self._tell_schema(wanted)

    def _tell_schema(self, wanted: Mapping[str, Any]) -> None:
        """JSON mode is all there is: the schema is asked for, not enforced, and that is dropped."""
        schema = json.dumps(wanted["schema"], ensure_ascii=False)
        request = f"Answer with one JSON object and nothing else. Its JSON Schema is:\n{schema}"
        messages = self.body["messages"]
        role = self._dialect.system_role
        if messages and messages[0]["role"] == role:
            first = messages[0]
            messages[0] = {**first, "content": f"{first['content']}\n\n{request}"}
        else:
            messages.insert(0, {"role": role, "content": request})
        self.dropped.append("text.format.strict")

    def reasoning(self) -> None:
        effort = self._turn.reasoning_effort
        if not self._dialect.shows_reasoning and self._turn.reasoning_summary is not None:
            self.dropped.append("reasoning.summary")
        if effort is None:
            return
        effort = self._dialect.efforts.get(effort, effort)
        match self._dialect.effort:
            case "reasoning_effort":
                self.body["reasoning_effort"] = effort
            case "reasoning.effort":
                self.body["reasoning"] = {"effort": effort}
            case "thinking" | "thinking+effort" as how:
                on = effort != "none"
                self.body["thinking"] = {"type": "enabled" if on else "disabled"}
                if on and how == "thinking+effort":
                    self.body["reasoning_effort"] = effort
            case None:
                self.dropped.append("reasoning.effort")

    # --- the rest

    def identity(self) -> None:
        """Who asks, and at which tier."""
        turn, known = self._turn, self._dialect
        self.hint("user", turn.user, known.user_field)
        key = "prompt_cache_key"
        self.hint(key, turn.prompt_cache_key, key if known.prompt_cache_key else None)
        tier = turn.service_tier
        if tier is not None and (known.service_tiers or tier not in ("auto", "default")):
            tier = known.service_tier_names.get(tier, tier)
            takes = known.service_tiers and tier not in _RESPONSES_ONLY
            self.put_or_drop("service_tier", tier, known=takes)

    def streaming(self) -> None:
        if self._turn.stream:
            self.body["stream"] = True
            if self._dialect.include_usage:
                self.body["stream_options"] = {"include_usage": True}


def _only(name: str, tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [tool for tool in tools if tool["function"]["name"] == name]
