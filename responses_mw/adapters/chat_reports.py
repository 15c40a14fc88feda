"""What a chat answer says beside its words: tokens used, sources, log probabilities.

Plain functions from chat's JSON to that of the Responses API.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from responses_mw.adapters.upstream_json import (
    a_name,
    a_number,
    a_text,
    index_or_zero,
    text_or_none,
    total,
)
from responses_mw.deltas import UsageReported

MARKER = re.compile(r"\[(\d{1,3})\]")


def logprob(token: Mapping[str, Any]) -> dict[str, Any]:
    top = [_one_token(other) for other in token.get("top_logprobs") or ()]
    return {**_one_token(token), "top_logprobs": top}


def _one_token(token: Mapping[str, Any]) -> dict[str, Any]:
    text = a_text(token["token"])
    told = token.get("bytes")
    codes = bytes(told) if isinstance(told, list) else text.encode()
    return {"token": text, "logprob": a_number(token["logprob"]), "bytes": list(codes)}


def url_citation(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Chat puts the fields one level deeper. A missing place is the text's beginning."""
    citation = annotation.get("url_citation") or annotation
    return {
        "type": "url_citation",
        "start_index": index_or_zero(citation.get("start_index")),
        "end_index": index_or_zero(citation.get("end_index")),
        "url": a_name(citation["url"]),
        "title": text_or_none(citation.get("title")) or "",
    }


def citations(sources: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    """One citation for each marker [n] that names a source."""
    urls = sources.get("citations") or []
    found = sources.get("search_results") or ()
    titles = {page["url"]: text_or_none(page.get("title")) or "" for page in found}
    for marker in MARKER.finditer(text):
        number = int(marker[1])
        if 1 <= number <= len(urls):
            url = a_name(urls[number - 1])
            place = {"start_index": marker.start(), "end_index": marker.end()}
            yield {"type": "url_citation", **place, "url": url, "title": titles.get(url, "")}


def usage_report(usage: Mapping[str, Any], *, uncounted_thinking: bool) -> UsageReported:
    """Cached tokens have four spellings; xAI and Gemini count reasoning in the total only."""
    read = usage.get("prompt_tokens_details") or {}
    written = usage.get("completion_tokens_details") or {}
    prompt, output = total(usage.get("prompt_tokens")), total(usage.get("completion_tokens"))
    reasoning = total(written.get("reasoning_tokens"))
    uncounted = total(usage.get("total_tokens")) - prompt - output
    if uncounted > 0 and (uncounted_thinking or uncounted == reasoning):
        output += uncounted
        reasoning = uncounted
    cached = (
        read.get("cached_tokens")
        or usage.get("prompt_cache_hit_tokens")
        or usage.get("num_cached_tokens")
        or usage.get("cached_tokens")
        or 0
    )
    return UsageReported(
        input_tokens=prompt,
        output_tokens=output,
        cached_tokens=min(total(cached), prompt),
        cache_write_tokens=total(read.get("cache_write_tokens")),
        reasoning_tokens=min(reasoning, output),
    )
