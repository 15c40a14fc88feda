"""What the official Google client makes of the same bytes: the judge of our decoder.

Nothing of ours is imported here.
"""

import base64
import hashlib
import json
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx2
from google import genai
from google.genai import types

CONTENT_TYPES = {True: "text/event-stream", False: "application/json"}

INCOMPLETE = {
    "MAX_TOKENS": "max_output_tokens",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "IMAGE_SAFETY": "content_filter",
}

Answer = types.GenerateContentResponse


class _Answers:
    """Answers every request with the same bytes. A client takes long to make, so it is kept."""

    def __init__(self, provider: str) -> None:
        self.body, self.streamed = b"", False
        http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        options = types.HttpOptions(httpx_client=http)
        on_vertex = provider == "vertex_ai"
        self.client = genai.Client(api_key="none", vertexai=on_vertex, http_options=options)

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": CONTENT_TYPES[self.streamed]}
        return httpx2.Response(200, headers=headers, content=self.body)


_answers = cache(_Answers)


def official_answers(body: bytes, *, streamed: bool, provider: str) -> list[Answer]:
    """The answer, or the chunks of a streamed one, through the client's public interface."""
    answers = _answers(provider)
    answers.body, answers.streamed = body, streamed
    asked: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "?"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of enum values that are newer than itself
        if streamed:
            return list(answers.client.models.generate_content_stream(**asked))
        return [answers.client.models.generate_content(**asked)]


def facts(answers: list[Answer]) -> dict[str, Any]:
    """What must be found in the response, in few words; long texts as a length and a hash."""
    usage = [a.usage_metadata for a in answers if a.usage_metadata is not None]
    return {
        **status(answers),
        "text": short("".join(p.text or "" for p in parts(answers) if not p.thought)),
        "thinking": short("".join(p.text or "" for p in parts(answers) if p.thought)),
        "calls": [
            [call.name, short(json.dumps(call.args or {}, sort_keys=True))]
            for part in parts(answers)
            if (call := part.function_call) is not None
        ],
        "pictures": [
            short(base64.b64encode(part.inline_data.data).decode())
            for part in parts(answers)
            if part.inline_data is not None
        ],
        "signed": sum(part.thought_signature is not None for part in parts(answers)),
        "sources": len(sources(answers)),
        "usage": tokens(usage[-1]) if usage else None,
    }


def parts(answers: list[Answer]) -> Iterator[types.Part]:
    for answer in answers:
        for candidate in answer.candidates or ():
            if candidate.content is not None:
                yield from candidate.content.parts or ()


def status(answers: list[Answer]) -> dict[str, Any]:
    reasons = [
        c.finish_reason.value for a in answers for c in a.candidates or () if c.finish_reason
    ]
    blocked = any(
        a.prompt_feedback is not None
        and (a.prompt_feedback.block_reason or a.prompt_feedback.block_reason_message)
        for a in answers
    )
    if not reasons and blocked:
        return {"status": "incomplete", "reason": "content_filter"}
    match reasons[-1] if reasons else None:
        case "STOP":
            return {"status": "completed", "reason": None}
        case str(reason) if reason in INCOMPLETE:
            return {"status": "incomplete", "reason": INCOMPLETE[reason]}
        case _:
            return {"status": "failed", "reason": None}


def tokens(usage: types.GenerateContentResponseUsageMetadata) -> list[int] | None:
    """Input, cached, output and thinking tokens."""
    if not any("token_count" in name for name in usage.model_dump(exclude_none=True)):
        return None
    thinking = usage.thoughts_token_count or 0
    return [
        (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        usage.cached_content_token_count or 0,
        (usage.candidates_token_count or 0) + thinking,
        thinking,
    ]


def sources(answers: list[Answer]) -> list[tuple[str, str]]:
    """The address of each source, and the words that it supports, where they are said."""
    found: list[tuple[str, str]] = []
    for answer in answers:
        for candidate in answer.candidates or ():
            found += _grounded(candidate)
            cited = candidate.citation_metadata.citations if candidate.citation_metadata else ()
            found += [
                (c.uri, f"{c.start_index or 0}-{c.end_index or 0}") for c in cited or () if c.uri
            ]
    return list(dict.fromkeys(found))


def _grounded(candidate: types.Candidate) -> Iterator[tuple[str, str]]:
    metadata = candidate.grounding_metadata
    for support in (metadata.grounding_supports if metadata else ()) or ():
        chunks = metadata.grounding_chunks or []
        for index in support.grounding_chunk_indices or ():
            if index < len(chunks):
                source = chunks[index].web or chunks[index].maps or chunks[index].retrieved_context
                if source is not None and source.uri:
                    yield source.uri, support.segment.text


def short(text: str) -> str:
    if len(text) <= 24:
        return text
    return f"{len(text)} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
