"""What a Gemini answer says beside its words: tokens used, sources, log probabilities.

Plain functions from generateContent's JSON to that of the Responses API.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from responses_mw.deltas import UsageReported

Json = Mapping[str, Any]


def usage_report(usage: Json) -> UsageReported | None:
    """What hosted tools brought is input; thinking is counted apart from the answer. None if
    nothing was counted."""
    if not any(key.endswith("TokenCount") for key in usage):
        return None
    thoughts = usage.get("thoughtsTokenCount", 0)
    return UsageReported(
        input_tokens=usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0),
        output_tokens=usage.get("candidatesTokenCount", 0) + thoughts,
        cached_tokens=usage.get("cachedContentTokenCount", 0),
        reasoning_tokens=thoughts,
    )


def logprobs(result: Json) -> list[dict[str, Any]]:
    tops = result.get("topCandidates") or ()
    found = []
    for n, chosen in enumerate(result.get("chosenCandidates") or ()):
        top = (tops[n].get("candidates") or ()) if n < len(tops) else ()
        found.append({**_token(chosen), "top_logprobs": [_token(other) for other in top]})
    return found


def _token(candidate: Json) -> dict[str, Any]:
    text = candidate.get("token", "")
    codes = list(text.encode("utf-8", "replace"))
    return {"token": text, "logprob": candidate.get("logProbability", 0.0), "bytes": codes}


class Sources:
    """Citations of an answer, collected while it is streamed and placed in its text at the end."""

    def __init__(self) -> None:
        self._chunks: Sequence[Json] = ()
        self._found: list[tuple[Json, Json]] = []

    def ground(self, metadata: Json) -> None:
        self._chunks = metadata.get("groundingChunks") or self._chunks
        for support in metadata.get("groundingSupports") or ():
            for index in support.get("groundingChunkIndices") or ():
                # Pages that could not be fetched are counted and not listed.
                if index < len(self._chunks):
                    source = _source(self._chunks[index])
                    self._found.append((support.get("segment") or {}, source))

    def cite(self, metadata: Json) -> None:
        """`citations` on Vertex AI, `citationSources` on the Gemini API."""
        cited = metadata.get("citations") or metadata.get("citationSources") or ()
        self._found += [(citation, citation) for citation in cited]

    def annotations(self, before: str, text: str) -> Iterator[dict[str, Any]]:
        """`text` is the open message, `before` what earlier messages said; a source of those is
        put at the beginning. One without an address is none that an annotation could name."""
        if not self._found:
            return
        told: set[tuple[Any, ...]] = set()
        said = (before + text).encode()
        for segment, source in self._found:
            uri = source.get("uri")
            citation = (uri, segment.get("startIndex"), segment.get("endIndex"))
            if not uri or citation in told:  # the chunks of a stream may repeat what others said
                continue
            told.add(citation)
            start, end = _place(segment, said, before, text)
            yield {
                "type": "url_citation",
                "start_index": start,
                "end_index": end,
                "url": uri,
                "title": source.get("title") or "",
            }


def _source(chunk: Json) -> Json:
    """`web`, `maps` or `retrievedContext`: each has a uri and a title."""
    return next((value for value in chunk.values() if isinstance(value, Mapping)), {})


def _place(segment: Json, said: bytes, before: str, text: str) -> tuple[int, int]:
    """Characters of `text`. The API counts bytes of UTF-8, now and then of something else: where
    it says the words, too, they are looked for."""
    start, end = segment.get("startIndex", 0), segment.get("endIndex", 0)
    words = segment.get("text")
    if words and said[start:end] != words.encode():
        found = text.find(words)
        if found >= 0:
            return found, found + len(words)
    first = len(said[:start].decode("utf-8", "ignore")) - len(before)
    last = len(said[:end].decode("utf-8", "ignore")) - len(before)
    return max(0, min(first, len(text))), max(0, min(last, len(text)))
