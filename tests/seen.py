"""What of each provider was recorded at the real service, and what never was.

The recordings are not in the repository, so what they show is kept in `seen.json`. Where they are
at hand, `python tests/provider_table.py` makes it and a test holds it to them. Fixtures, whose
origin nobody can prove, are counted apart and show nothing.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cases import Recording

FILE = Path(__file__).with_name("seen.json")

PARTS: Mapping[str, tuple[str, ...]] = {
    "whole answers": ("nonstream",),
    "streams": ("stream",),
    "calls": ("tool_call",),
    "parallel calls": ("parallel_tool_calls",),
    "outputs of tools": ("tool_result_replay",),
    "demanded tools": ("tool_choice",),
    "JSON Schema": ("structured_output",),
    "images": ("image_input",),
    "files": ("document_input",),
    "reasoning": ("reasoning_output",),
    "reasoning sent back": ("reasoning_replay",),
    "hosted tools": ("server_tool", "mcp", "citations"),
    "cached prompts": ("cache_read",),
    "the limit of tokens": ("finish_length",),
    "blocked answers": ("safety_block", "refusal"),
    "HTTP errors": ("error_4xx", "error_5xx"),
    "429": ("error_429",),
    "errors inside a stream": ("error_mid_stream",),
}
"""By the features of the recordings that show it, any of them."""


@dataclass(frozen=True)
class Seen:
    """`never` are the PARTS that no recording from the real service shows."""

    recorded: int
    fixtures: int
    never: tuple[str, ...]


NOTHING = Seen(0, 0, tuple(PARTS))


def seen() -> Mapping[str, Seen]:
    """By folder, and what is spoken there."""
    kept = json.loads(FILE.read_text())
    return {
        key: Seen(about["recorded"], about["fixtures"], tuple(about["never"]))
        for key, about in kept.items()
    }


def looked_at(recordings: Iterable[Recording]) -> Mapping[str, Seen]:
    by_key: dict[str, list[Recording]] = {}
    for recording in recordings:
        if not recording.provider.startswith("local_"):
            by_key.setdefault(key_of(recording), []).append(recording)
    return {key: _seen(by_key[key]) for key in sorted(by_key)}


def _seen(recordings: list[Recording]) -> Seen:
    real = [recording for recording in recordings if recording.meta["recorded"]]
    shown = {feature for recording in real for feature in recording.features}
    shown |= {"server_tool" for feature in shown if feature.startswith("hosted:")}
    never = tuple(part for part, features in PARTS.items() if not shown.intersection(features))
    return Seen(len(real), len(recordings) - len(real), never)


def keep(found: Mapping[str, Seen]) -> None:
    plain = {key: vars(about) for key, about in found.items()}
    FILE.write_text(json.dumps(plain, indent=1) + "\n")


def key_of(recording: Recording) -> str:
    """The folder, with what is spoken there where it is more than one thing."""
    if recording.provider == "bedrock":
        return "bedrock:claude" if "claude" in recording.url else "bedrock:others"
    if "chat/completions" in recording.url:
        return f"{recording.provider}:chat"
    path = recording.url.partition("?")[0]
    if path.endswith("/responses"):
        return f"{recording.provider}:responses"
    if path:
        return recording.provider
    if b'"choices"' in recording.body:
        return f"{recording.provider}:chat"
    responses = re.search(rb'response\.created|"object":\s*"response"', recording.body[:3000])
    return recording.provider + (":responses" if responses else "")
