"""Builds the body of a generateContent request from a turn and the rules of its model.

The contents themselves are built in `gemini_contents.py`. What a model cannot be told is named in
`dropped`, or refused where the turn is strict; nothing is left out in silence.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from responses_mw.adapters.base import UpstreamRequest
from responses_mw.adapters.gemini_contents import contents
from responses_mw.adapters.gemini_models import ModelRules
from responses_mw.adapters.omissions import Omissions, leave_out_responses_only
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Turn

Json = dict[str, Any]

HOSTED_TOOLS = {
    "web_search": "googleSearch",
    "web_search_2025_08_26": "googleSearch",
    "web_search_preview": "googleSearch",
    "web_search_preview_2025_03_11": "googleSearch",
    "code_interpreter": "codeExecution",
}
_HOSTED_DEFAULTS = {"search_context_size": ("medium",), "container": ("auto", {"type": "auto"})}

_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}
_LABEL = re.compile(r"[a-z0-9_-]{0,63}\Z")
JSON_ONLY = "Answer with one JSON object and nothing else: no other text and no code fence."


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Where the API is met. `scope`: signatures hold within it. `models`: the path before a model's
    name. `labels`: metadata is sent as labels of the bill. `tool_invocations`: hosted tools beside
    functions have to be asked to show what they did. `wrapped_count`: tokens are counted of a whole
    request."""

    scope: str
    models: str
    labels: bool
    tool_invocations: bool
    wrapped_count: bool


GOOGLE_AI = Surface(
    scope="gemini", models="/models/", labels=False, tool_invocations=True, wrapped_count=True
)
VERTEX_AI = Surface(
    scope="vertex_ai",
    models="/publishers/google/models/",
    labels=True,
    tool_invocations=False,
    wrapped_count=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    surface: Surface
    scope: str
    safety: Mapping[str, str]


def encode(turn: Turn, rules: ModelRules, options: EncodeOptions) -> UpstreamRequest:
    path = _path(turn.model, options.surface)
    path += ":streamGenerateContent?alt=sse" if turn.stream else ":generateContent"
    request = _Request(turn, rules, options)
    body = request.build()
    return UpstreamRequest(path, body, turn.extra_headers, request.leave_out.names)


def encode_count(turn: Turn, rules: ModelRules, options: EncodeOptions) -> UpstreamRequest:
    path = _path(turn.model, options.surface)
    request = _Request(turn, rules, options)
    body = request.build()
    if options.surface.wrapped_count:
        body = {"generateContentRequest": {"model": path.removeprefix("/"), **body}}
    else:
        counted = ("contents", "systemInstruction", "tools", "generationConfig")
        body = {key: body[key] for key in counted if key in body}
    headers = turn.extra_headers
    return UpstreamRequest(f"{path}:countTokens", body, headers, request.leave_out.names)


def _path(model: str, surface: Surface) -> str:
    """A name with a slash says where it is: `tunedModels/abc`, `endpoints/123`."""
    named = quote(model, safe="/@")
    return f"/{named}" if "/" in model else surface.models + named


class _Request:
    def __init__(self, turn: Turn, rules: ModelRules, options: EncodeOptions) -> None:
        self.turn = turn
        self.rules = rules
        self.options = options
        self.leave_out = Omissions(strict=turn.strict)

    def build(self) -> Json:
        turn = self.turn
        system, said = contents(turn, self.options.scope, self.rules, self.leave_out)
        if not said:
            raise UnsupportedByProvider(
                "the input says nothing; Gemini needs a message with content", param="input"
            )
        functions, hosted = self._tools()
        answer = self._answer_format(system, with_tools=bool(functions or hosted))
        body: Json = {
            "systemInstruction": {"parts": system} if system else None,
            "contents": said,
            "tools": [*hosted, *([{"functionDeclarations": functions}] if functions else [])],
            "toolConfig": self._tool_config(functions, hosted),
            "safetySettings": [
                {"category": category, "threshold": threshold}
                for category, threshold in self.options.safety.items()
            ],
            "generationConfig": _given(
                {**self._sampling(), **answer, "thinkingConfig": self._thinking()}
            ),
            "serviceTier": self._service_tier(),
            "labels": self._labels(),
        }
        for hint in ("user", "prompt_cache_key"):
            if getattr(turn, hint):
                self.leave_out.note(hint)
        if turn.verbosity not in (None, "medium"):
            self.leave_out("text.verbosity", "Gemini has no such field")
        leave_out_responses_only(turn, "Gemini", self.leave_out)
        body = merged(_given(body), turn.extra_body)
        if body.get("generationConfig", {}).get("candidateCount", 1) != 1:
            raise UnsupportedByProvider(
                "a response has one answer; leave candidateCount out", param="candidateCount"
            )
        return body

    # --- tools

    def _tools(self) -> tuple[list[Json], list[Json]]:
        """Function declarations, and hosted tools. All functions are offered, whichever of them
        may be called: so the prompt stays as it is cached."""
        if self.turn.choice == "none" and self._excludes_tools():
            return [], []
        functions: list[Json] = []
        hosted: list[Json] = []
        offered = self.turn.offered_tools
        for n, tool in enumerate(self.turn.tools):
            if tool["type"] == "function":
                functions.append(_declaration(tool))
            elif tool["type"] not in HOSTED_TOOLS:
                raise UnsupportedByProvider(
                    f"a tool of type {tool['type']!r} cannot be offered to {self.turn.model!r}; "
                    "offer functions, web_search or code_interpreter",
                    param=f"tools[{n}]",
                )
            elif tool in offered and self.turn.choice != "none":
                hosted.append(self._hosted(tool, f"tools[{n}]"))
        if functions and hosted and not self.rules.mixed_tools:
            raise UnsupportedByProvider(
                f"{self.turn.model!r} takes functions or hosted tools, not both", param="tools"
            )
        return functions, hosted

    def _hosted(self, tool: Mapping[str, Any], place: str) -> Json:
        for key, value in tool.items():
            if key == "type" or value is None or value in _HOSTED_DEFAULTS.get(key, ()):
                continue
            self.leave_out(f"{place}.{key}", "Gemini's own tool has no such option")
        return {HOSTED_TOOLS[tool["type"]]: {}}

    def _tool_config(self, functions: list[Json], hosted: list[Json]) -> Json:
        turn = self.turn
        choice = turn.tool_choice
        if not isinstance(choice, str) and choice["type"] not in ("function", "allowed_tools"):
            raise UnsupportedByProvider(
                f"{turn.model!r} cannot be made to call {choice['type']!r}; only functions can be",
                param="tool_choice",
            )
        if not functions:
            if turn.choice == "required":
                self.leave_out("tool_choice", "only functions can be demanded")
            return {}
        config: Json = {"functionCallingConfig": self._calling()}
        if hosted and self.options.surface.tool_invocations:
            config["includeServerSideToolInvocations"] = True
        return _given(config)

    def _calling(self) -> Json:
        turn = self.turn
        offered = [tool for tool in turn.offered_tools if tool["type"] == "function"]
        names = [tool["name"] for tool in offered]
        narrowed = len(names) < len([tool for tool in turn.tools if tool["type"] == "function"])
        match turn.choice:
            case "none":
                return {"mode": "NONE"}
            case "required" if turn.forced_tool is not None:
                return {"mode": "ANY", "allowedFunctionNames": [turn.forced_tool]}
            case _ if not names:
                return {"mode": "NONE"}  # only hosted tools are allowed
            case "required":
                return {"mode": "ANY", **({"allowedFunctionNames": names} if narrowed else {})}
            case _ if narrowed:
                return {"mode": "VALIDATED", "allowedFunctionNames": names}
            case _:
                # AUTO is the default; VALIDATED is AUTO with arguments held to their schema.
                strict = any(tool.get("strict") for tool in offered)
                return {"mode": "VALIDATED"} if strict else {}

    # --- the answer

    def _answer_format(self, system: list[Json], *, with_tools: bool) -> Json:
        """Fields of generationConfig; or words added to `system`, where the API has no field."""
        wanted = self.turn.text_format
        if wanted is None or wanted["type"] == "text":
            return {}
        schema: Json | None = None
        if wanted["type"] == "json_schema":
            described = wanted.get("description")
            schema = {**({"description": described} if described else {}), **wanted["schema"]}
        if not (with_tools and self._excludes_tools()):
            fields: Json = {"responseMimeType": "application/json"}
            return fields if schema is None else {**fields, "responseJsonSchema": schema}
        self.leave_out(
            "text.format" if schema is None else "text.format.schema",
            f"{self.turn.model!r} cannot be held to it while it has tools; it is asked for it",
        )
        shown = "" if schema is None else f" Its schema:\n{json.dumps(schema, ensure_ascii=False)}"
        system.append({"text": JSON_ONLY + shown})
        return {}

    def _excludes_tools(self) -> bool:
        """A JSON answer and tools are not both to be had."""
        wanted = self.turn.text_format
        is_json = wanted is not None and wanted["type"] != "text"
        return is_json and not self.rules.schema_with_tools

    def _sampling(self) -> Json:
        turn = self.turn
        wants_logprobs = turn.logprobs or bool(turn.top_logprobs)
        return {
            "maxOutputTokens": turn.max_output_tokens,
            "temperature": turn.temperature,
            "topP": turn.top_p,
            "presencePenalty": turn.presence_penalty,
            "frequencyPenalty": turn.frequency_penalty,
            "responseLogprobs": wants_logprobs or None,
            "logprobs": turn.top_logprobs or None,
        }

    def _thinking(self) -> Json:
        effort, efforts = self.turn.reasoning_effort, self.rules.efforts
        model = self.turn.model
        if not efforts:
            if effort not in (None, "none"):
                self.leave_out("reasoning.effort", f"the thinking of {model!r} cannot be set")
            if self.turn.reasoning_summary is not None:
                self.leave_out("reasoning.summary", f"{model!r} does not show its thinking")
            return {}
        config: Json = {}
        if self.turn.reasoning_summary is not None and effort != "none":
            config["includeThoughts"] = True
        if effort is None:
            return config
        if effort == "none" and "none" not in efforts:
            self.leave_out("reasoning.effort", f"{model!r} always thinks; it thinks the least")
            effort = "minimal"
        amount = efforts.get(effort, efforts["xhigh"])
        config["thinkingBudget" if isinstance(amount, int) else "thinkingLevel"] = amount
        return config

    # --- the rest

    def _service_tier(self) -> str | None:
        tier = self.turn.service_tier
        if tier in (None, "auto"):
            return None
        if tier not in _TIERS:
            self.leave_out("service_tier", f"Gemini has no {tier!r} tier")
            return None
        return _TIERS[tier]

    def _labels(self) -> Mapping[str, str]:
        """Metadata stays in the response anyway; what has the form of a label is one, too."""
        if not self.options.surface.labels:
            return {}
        return {
            key: value
            for key, value in self.turn.metadata.items()
            if key[:1].islower() and _LABEL.match(key) and _LABEL.match(value)
        }


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> Json:
    """`extra` wins, field by field: a `generationConfig` in it adds to ours."""
    result = dict(body)
    for key, value in extra.items():
        ours: Any = result.get(key)
        both = isinstance(ours, Mapping) and isinstance(value, Mapping)
        result[key] = merged(ours, value) if both else value
    return result


def _declaration(tool: Mapping[str, Any]) -> Json:
    declaration: Json = {"name": tool["name"]}
    if tool.get("description"):
        declaration["description"] = tool["description"]
    if tool.get("parameters"):
        declaration["parametersJsonSchema"] = tool["parameters"]
    return declaration


def _given(fields: Mapping[str, Any]) -> Json:
    return {key: value for key, value in fields.items() if value not in (None, [], {}, "")}
