"""Reads chat completions answers, whole or streamed, into deltas.

A whole answer is read as one large piece of a stream, so both give the same deltas. What a chunk
may look like is known here; requests are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from responses_mw.adapters.chat_calls import ChatCalls, NativeMessage
from responses_mw.adapters.chat_dialects import ChatDialect
from responses_mw.adapters.chat_reports import citations, logprob, url_citation, usage_report
from responses_mw.adapters.chat_text import SurrogatePairs, ThinkTags
from responses_mw.adapters.repeats import Repeats
from responses_mw.adapters.upstream_errors import streamed_error
from responses_mw.adapters.upstream_json import read_json, text_or_none
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    NativeTurn,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    StopReason,
    TextDelta,
    TextRun,
    ToolCallDelta,
    UpstreamInfo,
)
from responses_mw.errors import UpstreamProtocolError
from responses_mw.sse import ServerSentEvent

END = b"[DONE]"
WHOLE_OBJECTS = {"chat.completion.done"}
"""Perplexity ends a stream so, and not with a finish_reason that can be relied on."""

STOP_REASONS: dict[str, StopReason] = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "model_length": "max_output_tokens",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
"""Anything else is a plain stop: vendors have many words for it (stop, eos, tool_calls, "")."""

FAILURES = {"error", "abort", "insufficient_system_resource"}
_SAYS_MORE = ("error", "usage", "citations", "search_results", "x_groq")
"""What a chunk may hold that must be read even if it says a text."""


def decode_answer(body: bytes, dialect: ChatDialect, *, scope: str) -> list[Delta]:
    return ChatDecoder(dialect, scope=scope).whole(body)


class ChatDecoder:
    """One answer. What comes after its end is passed over."""

    def __init__(self, dialect: ChatDialect, *, scope: str) -> None:
        self._dialect = dialect
        self._scope = scope
        self._calls = ChatCalls(dialect.tool_call_extras)
        self._native = NativeMessage(self._calls, dialect.message_extras)
        self._tags = ThinkTags() if dialect.think_tags else None
        self._pairs: SurrogatePairs | None = None  # only once an event had half a pair
        self._said: list[str] = []
        self._logprobs: list[Mapping[str, Any]] = []  # of tokens whose text is still to come
        self._annotations: list[Mapping[str, Any]] = []
        self._sources: Mapping[str, Any] = {}
        self._usage: Mapping[str, Any] | None = None
        self._finish: str | None = None
        self._introduced = self._answered = self._thought = self._ended = False
        self.repeats = Repeats(b"content", _plain_text)

    def feed(self, event: ServerSentEvent) -> Iterator[Delta]:
        if self._ended:
            return iter(())
        if event.data == END:
            return iter(self._end())
        chunk = self._parse(event.data)
        if event.event == "error":
            raise streamed_error(chunk, provider=self._dialect.name)
        deltas = self._chunk(chunk)
        self.repeats.learn(event, chunk)
        return iter(deltas)

    def again(self, texts: list[str]) -> list[Delta]:
        """What as many chunks say that say nothing but these."""
        if self._ended or not self._answered:
            return []
        deltas: list[Delta] = []
        if self._tags is None and self._pairs is None and not self._logprobs:
            said = list(filter(None, texts))
            self._said += said
            return [TextRun(said)]
        for text in texts:
            self._text(deltas, text)
        return deltas

    def close(self) -> Iterator[Delta]:
        if self._ended:
            return iter(())
        if self._finish is None:
            raise UpstreamProtocolError(
                "the stream ended without finish_reason and without [DONE]",
                provider=self._dialect.name,
            )
        return iter(self._end())

    def whole(self, body: bytes) -> list[Delta]:
        return [*self._chunk(self._parse(body), whole=True), *self._end()]

    # --- chunks

    def _parse(self, raw: bytes) -> Any:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            # orjson refuses half a surrogate pair, which some servers send: their tokens split it.
            self._pairs = self._pairs or SurrogatePairs()
        return read_json(raw, provider=self._dialect.name)

    def _chunk(self, chunk: Any, *, whole: bool = False) -> list[Delta]:
        deltas: list[Delta] = []
        if chunk.get("error"):
            raise streamed_error(chunk, provider=self._dialect.name)
        if not self._introduced:
            deltas.extend(self._introduce(chunk))
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        if self._dialect.citation_markers and chunk.get("citations"):
            self._sources = chunk
        choices = chunk.get("choices")
        if choices:
            self._choice(deltas, chunk, choices, whole=whole)
        elif "x_groq" in chunk:
            self._note_groq(chunk)
        return deltas

    def _introduce(self, chunk: Mapping[str, Any]) -> Iterator[Delta]:
        """Azure's first chunk says nothing about the answer yet."""
        if chunk.get("model") or chunk.get("choices"):
            self._introduced = True
            yield UpstreamInfo(
                model=text_or_none(chunk.get("model")),
                service_tier=text_or_none(chunk.get("service_tier")),
                upstream_id=text_or_none(chunk.get("id")),
            )

    def _choice(
        self, deltas: list[Delta], chunk: Mapping[str, Any], choices: Sequence[Any], *, whole: bool
    ) -> None:
        choice = choices[0]
        if len(choices) > 1 or choice.get("index"):
            raise UpstreamProtocolError(
                "the upstream sent more than one choice; ask for one (n: 1)",
                provider=self._dialect.name,
            )
        if choice.get("error"):
            raise streamed_error(choice, provider=self._dialect.name)
        message = choice.get("message" if whole else "delta")
        if not message and not whole and not self._said:
            message = choice.get("message")  # a whole answer in one event of a stream
            whole = bool(message)
        self._answered = True
        if message:
            self._message(deltas, message, choice.get("logprobs"), whole=whole)
        self._note_end(chunk, choice)

    def _note_end(self, chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        finish = choice.get("finish_reason")
        if finish in FAILURES:
            message = f"the upstream gave up generating (finish_reason {finish!r})"
            raise streamed_error({"error": message}, provider=self._dialect.name)
        if finish:
            self._finish = finish
        elif chunk.get("object") in WHOLE_OBJECTS:
            self._finish = "stop"
        if "x_groq" in chunk:
            self._note_groq(chunk)

    def _note_groq(self, chunk: Mapping[str, Any]) -> None:
        extra = chunk["x_groq"] or {}
        if extra.get("error"):
            raise streamed_error(extra, provider=self._dialect.name)
        self._usage = extra.get("usage") or self._usage

    # --- what a message says

    def _message(
        self, deltas: list[Delta], message: Mapping[str, Any], logprobs: Any, *, whole: bool
    ) -> None:
        content = message.get("content")
        if len(message) == 1 and type(content) is str and logprobs is None:
            self._text(deltas, content)  # most chunks of most streams
            return
        self._reasoning(deltas, message)
        if logprobs:
            self._logprobs.extend(map(logprob, logprobs.get("content") or ()))
        if isinstance(content, str):
            self._text(deltas, content)
        elif content:
            self._parts(deltas, content)
        refusal = message.get("refusal")
        if refusal:
            deltas.append(RefusalDelta(self._joined("refusal", refusal)))
        if message.get("annotations"):
            # OpenRouter's `file` annotations are a parsed document, not a place in the answer.
            self._annotations.extend(
                url_citation(given)
                for given in message["annotations"]
                if given.get("type", "url_citation") == "url_citation"
            )
        self._native.learn(message, whole=whole)
        self._tool_calls(deltas, message, whole=whole)

    def _text(self, deltas: list[Delta], text: str) -> None:
        if not text:
            return
        text = self._joined("text", text)
        if self._tags is None:
            self._say(deltas, text)
            return
        for is_reasoning, piece in self._tags.feed(text):
            if is_reasoning:
                self._think(deltas, piece)
            else:
                self._say(deltas, piece)

    def _say(self, deltas: list[Delta], text: str) -> None:
        self._said.append(text)
        if self._logprobs:
            deltas.append(TextDelta(text, tuple(self._logprobs)))
            self._logprobs = []
        else:
            deltas.append(TextDelta(text))

    def _think(self, deltas: list[Delta], text: str) -> None:
        self._thought = True
        deltas.append(ReasoningDelta(text, raw=self._dialect.raw_reasoning))

    def _reasoning(self, deltas: list[Delta], message: Mapping[str, Any]) -> None:
        for name in self._dialect.reasoning_fields:
            text = message.get(name)
            if text:  # vLLM sends the same in two fields: one is enough
                self._think(deltas, self._joined("reasoning", text))
                return
        details = message.get("reasoning_details")
        if not details:
            return
        text = "".join(detail.get("text") or detail.get("summary") or "" for detail in details)
        if text or not self._thought:  # encrypted reasoning is an item without text
            self._think(deltas, self._joined("reasoning", text))

    def _parts(self, deltas: list[Delta], parts: Sequence[Mapping[str, Any]]) -> None:
        """Mistral sends content as a list, as soon as the model thinks."""
        for part in parts:
            match part.get("type"):
                case "text":
                    self._text(deltas, part["text"])
                case "thinking":
                    thought = "".join(piece.get("text") or "" for piece in part["thinking"])
                    if thought:
                        self._think(deltas, self._joined("reasoning", thought))
                case "reference":
                    pass  # numbers of documents that only the sender of the request knows
                case other:
                    raise UpstreamProtocolError(
                        f"the upstream sent a content part of type {other!r}, which is not known",
                        provider=self._dialect.name,
                    )

    def _tool_calls(self, deltas: list[Delta], message: Mapping[str, Any], *, whole: bool) -> None:
        entries = message.get("tool_calls")
        old = message.get("function_call")
        if not entries:
            if not old or not (old.get("name") or self._calls.all):
                return
            entries = [{"index": 0, "function": old}]  # how tools were called before 2023-11
        if not self._calls.all:
            self._close_text(deltas)
        for entry in entries:
            for delta in self._calls.piece(entry, whole=whole):
                if self._pairs is not None and isinstance(delta, ToolCallDelta):
                    text = self._pairs.join(delta.key, delta.arguments)
                    deltas.append(ToolCallDelta(delta.key, text))
                else:
                    deltas.append(delta)

    def _joined(self, stream: str, text: Any) -> str:
        if not isinstance(text, str):
            raise TypeError(f"its {stream} is {type(text).__name__}, not text")
        return text if self._pairs is None else self._pairs.join(stream, text)

    # --- the end

    def _end(self) -> list[Delta]:
        if not self._answered:
            raise UpstreamProtocolError(
                "the upstream's answer holds no choice", provider=self._dialect.name
            )
        self._ended = True
        deltas = self._left_over()
        self._close_text(deltas)
        message = self._native.message("".join(self._said))
        if message is not None:
            deltas.append(NativeTurn(self._scope, message))
        if self._usage is not None:
            uncounted = self._dialect.uncounted_thinking
            deltas.append(usage_report(self._usage, uncounted_thinking=uncounted))
        deltas.append(Stopped(STOP_REASONS.get((self._finish or "").lower(), "stop")))
        return deltas

    def _left_over(self) -> list[Delta]:
        """A half of a surrogate pair whose other half did not come."""
        deltas: list[Delta] = []
        for stream in self._pairs.left_over() if self._pairs is not None else ():
            match stream:
                case "text":
                    self._text(deltas, "\ufffd")
                case "reasoning":
                    self._think(deltas, "\ufffd")
                case "refusal":
                    deltas.append(RefusalDelta("\ufffd"))
                case int():
                    deltas.append(ToolCallDelta(stream, "\ufffd"))
        return deltas

    def _close_text(self, deltas: list[Delta]) -> None:
        """Annotations belong to the text, so they are told before anything else begins."""
        for is_reasoning, piece in self._tags.flush() if self._tags is not None else ():
            (self._think if is_reasoning else self._say)(deltas, piece)
        if not self._said or self._calls.all:
            return
        if self._logprobs:
            deltas.append(TextDelta("", tuple(self._logprobs)))
        deltas.extend(map(AnnotationAdded, self._annotations))
        if self._sources:
            deltas.extend(map(AnnotationAdded, citations(self._sources, "".join(self._said))))


def _plain_text(chunk: Mapping[str, Any]) -> str | None:
    """Of a chunk that says a text and nothing else, whatever its dialect."""
    choices = chunk.get("choices")
    if not choices or any(map(chunk.get, _SAYS_MORE)) or len(choices) > 1:
        return None
    choice = choices[0]
    delta = choice.get("delta")
    if not delta or any(choice.get(name) for name in choice if name != "delta"):
        return None
    rest = [name for name in delta if name != "content" and delta[name]]
    text = delta.get("content")
    return text if isinstance(text, str) and rest in ([], ["role"]) else None
