"""What a Gemini answer says beside its words: tokens used, sources, log probabilities.

Plain functions from generateContent's JSON to that of the Responses API.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from responses_mw.adapters.upstream_json import a_number, index_or_zero, text_or_none, total
from responses_mw.deltas import UsageReported

Json = Mapping[str, Any]


def usage_report(usage: Json) -> UsageReported | None:
    """What hosted tools brought is input; thinking is counted apart from the answer. None if
    nothing was counted."""
    if not any("TokenCount" in key for key in usage):
        return None
    thoughts = usage.get("thoughtsTokenCount")
    return UsageReported(
        input_tokens=total(usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount")),
        output_tokens=total(usage.get("candidatesTokenCount"), thoughts),
        cached_tokens=total(usage.get("cachedContentTokenCount")),
        reasoning_tokens=total(thoughts),
    )


def logprobs(result: Json) -> list[dict[str, Any]]:
    tops = result.get("topCandidates") or ()
    found = []
    for n, chosen in enumerate(result.get("chosenCandidates") or ()):
        top = (tops[n].get("candidates") or ()) if n < len(tops) else ()
        found.append({**_token(chosen), "top_logprobs": [_token(other) for other in top]})
    return found


def _token(candidate: Json) -> dict[str, Any]:
    text = text_or_none(candidate.get("token")) or ""
    logprob = a_number(candidate.get("logProbability", 0.0))
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


class _Source(NamedTuple):
    """A place in the answer and what it was taken from."""

    uri: str
    title: str
    start: int
    end: int
    words: str | None


class Sources:
    """Citations of an answer, collected while it is streamed and placed in its text at the end."""

    def __init__(self) -> None:
        self._chunks: Sequence[Json] = ()
        self._found: list[_Source] = []

    def ground(self, metadata: Json) -> None:
        self._chunks = metadata.get("groundingChunks") or self._chunks
        for support in metadata.get("groundingSupports") or ():
            for index in support.get("groundingChunkIndices") or ():
                # Pages that could not be fetched are counted and not listed.
                if 0 <= index < len(self._chunks):
                    self._add(support.get("segment"), _source(self._chunks[index]))

    def cite(self, metadata: Json) -> None:
        """`citations` on Vertex AI, `citationSources` on the Gemini API."""
        cited = metadata.get("citations") or metadata.get("citationSources") or ()
        for citation in cited:
            self._add(citation, citation)

    def _add(self, segment: Json | None, source: Json) -> None:
        place = segment or {}
        words = text_or_none(place.get("text"))
        start, end = map(index_or_zero, (place.get("startIndex"), place.get("endIndex")))
        uri = text_or_none(source.get("uri"))
        if uri is not None:  # one without an address is none that an annotation could name
            title = text_or_none(source.get("title")) or ""
            self._found.append(_Source(uri, title, start, end, words))

    def annotations(self, before: str, text: str) -> Iterator[dict[str, Any]]:
        """`text` is the open message, `before` what earlier messages said; a source of those is
        put at the beginning."""
        if not self._found:
            return
        said = (before + text).encode()
        for source in dict.fromkeys(self._found):  # chunks of a stream may repeat what others said
            start, end = _place(source, said, before, text)
            yield {
                "type": "url_citation",
                "start_index": start,
                "end_index": end,
                "url": source.uri,
                "title": source.title,
            }


def _source(chunk: Json) -> Json:
    """`web`, `maps` or `retrievedContext`: each has a uri and a title."""
    return next((value for value in chunk.values() if isinstance(value, Mapping)), {})


def _place(source: _Source, said: bytes, before: str, text: str) -> tuple[int, int]:
    """Characters of `text`. The API counts bytes of UTF-8, now and then of something else: where
    it says the words, too, they are looked for."""
    words = source.words
    if words and said[source.start : source.end] != words.encode():
        found = text.find(words)
        if found >= 0:
            return found, found + len(words)
    first = len(said[: source.start].decode("utf-8", "ignore")) - len(before)
    last = len(said[: source.end].decode("utf-8", "ignore")) - len(before)
    return max(0, min(first, len(text))), max(0, min(last, len(text)))
