"""Gemini's generateContent: on the Gemini API and on Vertex AI.

Only the choice of options and the methods of an adapter stand here; each is done in a file of its
own (`gemini_encode.py`, `gemini_decode.py`, `upstream_errors.py`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from responses_mw.adapters.base import Framing, UpstreamRequest
from responses_mw.adapters.gemini_contents import without_signatures
from responses_mw.adapters.gemini_decode import GeminiDecoder
from responses_mw.adapters.gemini_encode import (
    GOOGLE_AI,
    EncodeOptions,
    Surface,
    encode,
    encode_count,
)
from responses_mw.adapters.gemini_models import ModelRules, rules_for
from responses_mw.adapters.upstream_errors import upstream_error
from responses_mw.adapters.upstream_json import read_count, read_json
from responses_mw.deltas import Delta
from responses_mw.errors import UpstreamError
from responses_mw.turn import Turn

_REFUSED_SIGNATURE = re.compile(r"thought.?signature", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemini:
    """The base URL goes as far as the version (`.../v1beta`); on Vertex AI, as far as the location
    (`vertex.base_url`).

    `surface` says which of the two it is (GOOGLE_AI, VERTEX_AI). `safety` maps harm categories to
    thresholds. `rules` replace what the model's name says.
    """

    name: str = "gemini"
    framing: Framing = "sse"
    surface: Surface = GOOGLE_AI
    safety: Mapping[str, str] = field(default_factory=dict)
    rules: ModelRules | None = None

    def scope(self, turn: Turn) -> str:
        """The whole name of the model, and the place: signatures of others are refused."""
        return f"{self.surface.scope}:{turn.model.rpartition('/')[2]}"

    def encode(self, turn: Turn) -> UpstreamRequest:
        return encode(turn, self._rules(turn), self._options(turn))

    def decode(self, body: bytes, turn: Turn) -> Iterator[Delta]:
        decoder = self.decoder(turn)
        yield from decoder.read(read_json(body, provider=self.name))
        yield from decoder.close()

    def decoder(self, turn: Turn) -> GeminiDecoder:
        return GeminiDecoder(
            scope=self.scope(turn), one_call=not turn.parallel_tool_calls, provider=self.name
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        return upstream_error(status, headers, body, provider=self.name)

    def revised(
        self, turn: Turn, request: UpstreamRequest, error: UpstreamError
    ) -> UpstreamRequest | None:
        """Without the signatures of earlier turns, where one of them is refused: it was another
        model's or another place's, whatever the name says."""
        if error.status != 400 or _REFUSED_SIGNATURE.search(error.message) is None:
            return None
        told = request.body["contents"]
        said = without_signatures(told, self._rules(turn))
        if said == told:
            return None
        body = {**request.body, "contents": said}
        return replace(request, body=body, dropped=(*request.dropped, "input.reasoning"))

    def count(self, turn: Turn) -> UpstreamRequest:
        return encode_count(turn, self._rules(turn), self._options(turn))

    def counted(self, body: bytes) -> int:
        return read_count(body, "totalTokens", provider=self.name)

    def _rules(self, turn: Turn) -> ModelRules:
        return rules_for(turn.model) if self.rules is None else self.rules

    def _options(self, turn: Turn) -> EncodeOptions:
        return EncodeOptions(surface=self.surface, scope=self.scope(turn), safety=self.safety)
