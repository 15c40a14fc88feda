"""Amazon Bedrock's Converse API: every model that AWS serves, in one format.

Only the choice of options and the methods of an adapter stand here; each is done in a file of its
own (`bedrock_encode.py`, `bedrock_decode.py`, `bedrock_errors.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from responses_mw.adapters.anthropic_answers import answer_format
from responses_mw.adapters.anthropic_options import REFUSED_THINKING
from responses_mw.adapters.base import Framing, UpstreamRequest
from responses_mw.adapters.bedrock_content import loop_lacks_reasoning, without_reasoning
from responses_mw.adapters.bedrock_decode import ConverseDecoder, events_of
from responses_mw.adapters.bedrock_encode import (
    EncodeOptions,
    Guardrail,
    encode,
    model_path,
)
from responses_mw.adapters.bedrock_errors import http_error
from responses_mw.adapters.bedrock_models import FamilyRules, rules_for, scope_of
from responses_mw.adapters.upstream_json import read_count, read_json
from responses_mw.deltas import Delta
from responses_mw.errors import UpstreamError
from responses_mw.turn import Turn

_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")


@dataclass(frozen=True, slots=True, kw_only=True)
class BedrockConverse:
    """The base URL is the runtime's host, `https://bedrock-runtime.REGION.amazonaws.com`.

    `base_model` is the name to go by where the deployment's says nothing (an inference profile of
    one's own, an imported model). `max_tokens` is asked for when the client sets no limit (None:
    the model's default). `cache` is how long prompts stay cached (None: no cache points). `rules`
    replace what the model's name says.
    """

    name: str = "bedrock"
    framing: Framing = "eventstream"
    base_model: str | None = None
    max_tokens: int | None = None
    cache: Literal["5m", "1h"] | None = "5m"
    guardrail: Guardrail | None = None
    latency: Literal["standard", "optimized"] | None = None
    rules: FamilyRules | None = None

    def scope(self, turn: Turn) -> str:
        return scope_of(turn, self._model(turn), self._rules(turn))

    def encode(self, turn: Turn) -> UpstreamRequest:
        options = EncodeOptions(
            max_tokens=self.max_tokens,
            cache=self.cache,
            guardrail=self.guardrail,
            latency=self.latency,
        )
        return encode(turn, self.scope(turn), self._rules(turn), options)

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        answer = read_json(body, provider=self.name)
        decoder = self.decoder(turn)
        for kind, event in list(events_of(answer)):
            yield from decoder.read(kind, event)
        yield from decoder.close()

    def decoder(self, turn: Turn) -> ConverseDecoder:
        rules = self._rules(turn)
        return ConverseDecoder(
            scope=self.scope(turn),
            answer_tool=answer_format(turn, rules.model).tool_name,
            unsigned_reasoning=rules.unsigned_reasoning,
            provider=self.name,
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return http_error(status, headers, body, provider=self.name)

    def revised(
        self, turn: Turn, request: UpstreamRequest, error: UpstreamError
    ) -> UpstreamRequest | None:
        """Without reasoning, where Claude refuses that of earlier turns."""
        if error.status != 400 or REFUSED_THINKING.search(error.message) is None:
            return None
        return _without_reasoning(request)

    def count(self, turn: Turn) -> UpstreamRequest:
        request = replace(self, cache=None).encode(turn)
        counted = {name: request.body[name] for name in _COUNTED if name in request.body}
        body = {"input": {"converse": counted}}
        path = model_path(turn.model, "count-tokens")
        return UpstreamRequest(path, body, request.headers, request.dropped)

    def counted(self, body: bytes) -> int:
        return read_count(body, "inputTokens", provider=self.name)

    def _model(self, turn: Turn) -> str:
        return self.base_model or turn.model

    def _rules(self, turn: Turn) -> FamilyRules:
        return rules_for(self._model(turn)) if self.rules is None else self.rules


def _without_reasoning(request: UpstreamRequest) -> UpstreamRequest | None:
    """None if there is none in it. A loop of tools that was begun with a budget for thinking and
    lacks it now is gone on with without."""
    body = {**request.body, "messages": without_reasoning(request.body["messages"])}
    if body["messages"] == request.body["messages"]:
        return None
    dropped = [*request.dropped, "input.reasoning"]
    fields = dict(body.get("additionalModelRequestFields", {}))
    budgeted = fields.get("thinking", {}).get("type") == "enabled"
    if budgeted and loop_lacks_reasoning(body["messages"]):
        del fields["thinking"]
        body["additionalModelRequestFields"] = fields
        dropped.append("reasoning.effort")
    return replace(request, body=body, dropped=tuple(dropped))
