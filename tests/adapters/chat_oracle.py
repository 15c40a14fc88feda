"""What a chat completions answer says, read from its JSON alone: the judge of our decoder.

Nothing of ours is imported here, and nothing is read by vendor but where its documentation says so:
<think> tags at the beginning of a text, markers [n] of the sources beside it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from bedrock_oracle import canonical, short

Json = dict[str, Any]
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
THOUGHT = re.compile(r"\s*<think>(.*?)(?:</think>(.*)|\Z)", re.DOTALL)


def facts(body: bytes, *, streamed: bool, provider: str) -> Json:
    """The short form that is kept in `expected/`."""
    said = _Said()
    for chunk in _chunks(body, streamed=streamed):
        said.read(chunk, streamed=streamed)
    text, thinking = said.text, said.thinking
    tagged = THOUGHT.match(text)
    if tagged is not None:
        thinking, text = thinking + tagged[1].lstrip("\n"), (tagged[2] or "").lstrip("\n")
    reason = INCOMPLETE.get(said.finish or "")
    return {
        "status": "completed" if reason is None else "incomplete",
        "reason": reason,
        "text": short(text),
        "thinking": short(thinking),
        "refusal": short(said.refusal),
        "calls": [[call["name"], _arguments(call["arguments"])] for call in said.calls.values()],
        "sources": len(said.cited) + _marked(text, said.sources),
        "usage": None if said.usage is None else _tokens(said.usage, provider),
    }


class _Said:
    def __init__(self) -> None:
        self.text = self.thinking = self.refusal = ""
        self.calls: dict[Any, Json] = {}
        self.cited: list[Any] = []
        self.sources: list[str] = []
        self.finish: str | None = None
        self.usage: Json | None = None

    def read(self, chunk: Json, *, streamed: bool) -> None:
        groq = (chunk.get("x_groq") or {}).get("usage")
        self.usage = chunk.get("usage") or groq or self.usage
        self.sources = chunk.get("citations") or self.sources
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            self.finish = choice.get("finish_reason") or self.finish
            self.usage = choice.get("usage") or self.usage
            message = choice.get("delta" if streamed else "message") or choice.get("message") or {}
            if chunk.get("object") == "chat.completion.done":
                continue  # Perplexity says all of it once more
            self._message(message)

    def _message(self, message: Json) -> None:
        content = message.get("content") or ""
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "thinking":
                self.thinking += "".join(piece.get("text", "") for piece in part["thinking"])
            elif part["type"] == "text":
                self.text += part["text"]
        details = message.get("reasoning_details") or ()
        summaries = "".join(d.get("text") or d.get("summary") or "" for d in details)
        self.thinking += message.get("reasoning_content") or message.get("reasoning") or summaries
        self.refusal += message.get("refusal") or ""
        self.cited += [a for a in message.get("annotations") or () if "url_citation" in a]
        old = message.get("function_call")
        named = old and old.get("name")  # Snowflake sends an empty one beside every text
        for entry in message.get("tool_calls") or ([{"function": old}] if named else ()):
            self._call(entry)

    def _call(self, entry: Json) -> None:
        """By its index; where there is none, every id begins a call."""
        function = entry.get("function") or {}
        key = entry.get("index", entry.get("id"))
        if entry.get("index") is not None and entry.get("id"):
            known = self.calls.get(key)
            if known is not None and known["id"] and known["id"] != entry["id"]:
                key = entry["id"]  # every call of one answer is said to be the first
        call = self.calls.setdefault(key, {"id": entry.get("id"), "name": "", "arguments": ""})
        call["name"] = function.get("name") or call["name"]
        arguments = function.get("arguments") or ""
        call["arguments"] += arguments if isinstance(arguments, str) else json.dumps(arguments)


def _chunks(body: bytes, *, streamed: bool) -> Iterator[Json]:
    if not streamed:
        yield json.loads(body)
        return
    for line in re.split(rb"\r\n|\n|\r", body):
        name, _, data = line.partition(b":")
        if name == b"data" and data.strip() and data.strip() != b"[DONE]":
            yield json.loads(data)


def _arguments(text: str) -> str:
    try:
        return canonical(json.loads(text or "{}"))
    except json.JSONDecodeError:
        return short(text)


def _marked(text: str, sources: list[str]) -> int:
    numbers = (int(number) for number in re.findall(r"\[(\d{1,3})\]", text))
    return sum(1 <= number <= len(sources) for number in numbers)


def _tokens(usage: Json, provider: str) -> list[int]:
    """Input, of it cached, of it written to the cache, output, of it reasoning."""
    read = usage.get("prompt_tokens_details") or {}
    made = usage.get("completion_tokens_details") or {}
    spellings = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens")
    cached = read.get("cached_tokens") or next((usage[s] for s in spellings if usage.get(s)), 0)
    output, thought = usage.get("completion_tokens") or 0, made.get("reasoning_tokens") or 0
    # xAI's models and Gemini's add their reasoning to the total alone.
    beside = usage["total_tokens"] - usage["prompt_tokens"] - output
    if beside and (beside == thought or provider == "gemini_openai_compat"):
        output, thought = output + beside, beside
    prompt = usage["prompt_tokens"]
    written = read.get("cache_write_tokens") or 0
    return [prompt, min(cached, prompt), written, output, min(thought, output)]
