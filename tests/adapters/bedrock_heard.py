"""Converse answers in short, and the deltas that are heard in them."""

from typing import Any

import orjson
from bedrock_cases import deltas_of
from bedrock_stream import METADATA, stream

from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.deltas import (
    Delta,
    UsageReported,
)
from responses_mw.turn import Turn

ADAPTER = BedrockConverse()
CLAUDE = Turn(model="us.anthropic.claude-sonnet-4-5-20250929-v1:0", spans=(), stream=True)
SCOPE = "bedrock:claude-sonnet-4-5"
USAGE = UsageReported(3, 2)


def heard(*events: tuple[str, Any], turn: Turn = CLAUDE) -> list[Delta]:
    return deltas_of(ADAPTER, stream(*events), streamed=True, turn=turn)


def said(*content: dict[str, Any], turn: Turn = CLAUDE, reason: str = "end_turn") -> list[Delta]:
    answer = {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": reason,
        **METADATA[1],
    }
    return deltas_of(ADAPTER, orjson.dumps(answer), streamed=False, turn=turn)
