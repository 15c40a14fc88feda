"""Reads a generateContent answer, whole or streamed, as deltas.

A stream has no last event: it ends with its bytes, and a finishReason must have come. What items
cannot carry (thought signatures, code that Google ran, calls without an id) is kept in the native
turn, part by part. Code that Google ran is an item, too; what a search found are annotations.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from responses_mw.adapters.counted_repeats import CountedRepeats
from responses_mw.adapters.gemini_arguments import GrowingCall
from responses_mw.adapters.gemini_reports import Sources, logprobs, usage_report
from responses_mw.adapters.upstream_errors import streamed_error
from responses_mw.adapters.upstream_json import (
    a_name,
    a_text,
    read_json,
    text_or_none,
    whole_characters,
    without_half,
)
from responses_mw.deltas import (
    AnnotationAdded,
    Delta,
    ItemFinished,
    NativeTurn,
    OutputItem,
    ReasoningDelta,
    Stopped,
    StopReason,
    TextDelta,
    TextRun,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.errors import UpstreamError, UpstreamProtocolError
from responses_mw.sse import ServerSentEvent

Json = dict[str, Any]

STOP_REASONS: Mapping[str, StopReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "max_output_tokens",
    # The model would go on if it were asked to: what is here is not all of the answer.
    "CONTINUATION": "max_output_tokens",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MODEL_ARMOR",
            "ESCALATION",
            "PUP_LIMITED_DISABLED",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "IMAGE_OTHER",
        ),
        "content_filter",
    ),
}
"""Every other reason is a failure: MALFORMED_FUNCTION_CALL, UNEXPECTED_TOOL_CALL, OTHER, ..."""

_NUMBERED = ("", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
"""What the reasons are with `enum-encoding=int`."""

_PLAIN_CHUNK = {"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"}
_PLAIN_CANDIDATE = {"content", "index"}
_TIERS = {"standard": "default", "unspecified": "default"}
_MAX_CALL_ID = 64


class GeminiDecoder:
    """`one_call`: what comes after the first call is cut off, because the API has no switch for
    `parallel_tool_calls: false`."""

    def __init__(self, *, scope: str, one_call: bool, provider: str) -> None:
        self._scope = scope
        self._one_call = one_call
        self._provider = provider
        self._parts: list[Json] = []
        self._text: list[str] = []
        """The pieces of the last part, where that may go on."""
        self._calls = 0
        self._growing: GrowingCall | None = None
        self._cut = False
        self._code: str | None = None
        self._half = ""
        self._half_is_thought = False
        self._before: list[str] = []
        self._message: list[str] = []
        self._logprobs: list[Mapping[str, Any]] = []
        self._sources = Sources()
        self._info: UpstreamInfo | None = None
        self._counts: Json = {}
        self._usage: UsageReported | None = None
        self._finish: str | None = None
        self._finish_message = ""
        self._blocked = False
        self._answered = False
        self.repeats = CountedRepeats(b"text", _only_text)

    def feed(self, event: ServerSentEvent) -> Iterator[Delta]:
        chunk = read_json(event.data, provider=self._provider)
        deltas = self.read(chunk)
        self.repeats.learn(event, chunk)
        return iter(deltas)

    def again(self, texts: list[str]) -> list[Delta]:
        """What as many chunks say that say nothing but these."""
        deltas: list[Delta] = []
        if self._half or self._logprobs or self._growing or self._cut:
            for text in texts:
                self._part(deltas, {"text": text})
            return deltas
        said = list(filter(None, texts))
        for text in said:
            self._remember({"text": text})
        self._message += said
        return [TextRun(said)]

    def read(self, chunk: Any) -> list[Delta]:
        if isinstance(chunk, list):  # a stream that is one JSON array, or its error
            return [delta for entry in chunk for delta in self._chunk(entry)]
        return self._chunk(chunk)

    def close(self) -> Iterator[Delta]:
        yield from self._end()

    def _end(self) -> Iterator[Delta]:
        if self._finish is None and not self._blocked:
            said = "the answer ended without a finishReason"
            raise self._broken(said if self._answered else "the answer holds no candidate")
        yield from self._report()
        yield from self._rest_of_half()
        if self._message:
            if self._logprobs:
                yield TextDelta("", tuple(self._logprobs))
            before, text = "".join(self._before), "".join(self._message)
            yield from map(AnnotationAdded, self._sources.annotations(before, text))
        reason = self._reason()
        if self._growing is not None and reason == "stop":
            raise self._broken("the answer ended in the middle of a function call")
        if self._needs_native():
            yield NativeTurn(self._scope, self._parts)
        yield Stopped(reason)

    # --- chunks

    def _chunk(self, chunk: Json) -> list[Delta]:
        text = self._plain_text(chunk)
        if text:
            self._counts = chunk.get("usageMetadata") or self._counts
            self._message.append(text)
            self._remember({"text": text})
            return [TextDelta(text)]
        if chunk.get("error"):
            raise streamed_error(chunk, provider=self._provider)
        usage = chunk.get("usageMetadata") or {}
        deltas: list[Delta] = []
        if self._info is None or (self._info.service_tier is None and usage.get("serviceTier")):
            deltas.append(self._introduce(chunk, usage))
        feedback = chunk.get("promptFeedback") or {}
        if feedback.get("blockReason") or feedback.get("blockReasonMessage"):
            self._blocked = True
        candidates = chunk.get("candidates") or ()
        if len(candidates) > 1 or any(candidate.get("index") for candidate in candidates):
            raise self._broken("more than one candidate came; ask for one (candidateCount: 1)")
        for candidate in candidates:
            self._candidate(deltas, candidate)
        if usage:
            self._counts = usage
            deltas.extend(self._report())
        return deltas

    def _plain_text(self, chunk: Json) -> str | None:
        """Of most chunks of most answers, which say one text; None for all others, and where
        something waits for what comes next."""
        text = _only_text(chunk)
        if text is None or not text.isascii():
            return None
        waits = self._half or self._logprobs or self._growing or self._cut
        return None if waits or not self._answered or self._info is None else text

    def _report(self) -> Iterator[UsageReported]:
        """Every chunk has the counts so far: those of the first are told, and the last."""
        report = usage_report(self._counts) if self._counts else None
        if report is not None and report != self._usage:
            self._usage = report
            yield report

    def _introduce(self, chunk: Json, usage: Json) -> UpstreamInfo:
        tier = text_or_none(usage.get("serviceTier"))
        tier = None if tier is None else tier.lower()
        self._info = UpstreamInfo(
            model=text_or_none(chunk.get("modelVersion")),
            service_tier=None if tier is None else _TIERS.get(tier, tier),
            upstream_id=text_or_none(chunk.get("responseId")),
        )
        return self._info

    def _candidate(self, deltas: list[Delta], candidate: Json) -> None:
        self._answered = True
        if candidate.get("logprobsResult"):
            self._logprobs += logprobs(candidate["logprobsResult"])
        for part in (candidate.get("content") or {}).get("parts") or ():
            self._part(deltas, part)
        self._sources.ground(candidate.get("groundingMetadata") or {})
        self._sources.cite(candidate.get("citationMetadata") or {})
        finish = candidate.get("finishReason")
        if isinstance(finish, int):
            finish = _NUMBERED[finish] if 0 < finish < len(_NUMBERED) else str(finish)
        if finish:
            self._finish = a_text(finish)
            self._finish_message = text_or_none(candidate.get("finishMessage")) or ""

    # --- parts

    def _part(self, deltas: list[Delta], part: Json) -> None:
        if self._cut:
            return
        if "functionCall" in part:
            deltas.extend(self._rest_of_half())
            deltas.extend(self._call(whole_characters(part)))
            return
        thought = bool(part.get("thought"))
        if isinstance(part.get("text"), str):
            if self._half and thought != self._half_is_thought:
                deltas.extend(self._rest_of_half())
            text, self._half = without_half(self._half + part["text"])
            self._half_is_thought = thought
            deltas.extend(self._say(text, thought=thought))
            rest = whole_characters(part) if len(part) > 1 else part
            self._remember({**rest, "text": text})
            return
        part = whole_characters(part)
        if "inlineData" in part and not thought:
            deltas.extend(self._picture(part["inlineData"]))
        elif "executableCode" in part:
            self._code = text_or_none(part["executableCode"].get("code"))
        elif "codeExecutionResult" in part:
            deltas.append(self._ran(part["codeExecutionResult"]))
        self._remember(part)

    def _say(self, text: str, *, thought: bool) -> Iterator[Delta]:
        if not text:
            return
        if thought:
            self._end_message()
            yield ReasoningDelta(text)
            return
        self._message.append(text)
        tokens, self._logprobs = tuple(self._logprobs), []
        yield TextDelta(text, tokens)

    def _rest_of_half(self) -> Iterator[Delta]:
        """Half of a pair of surrogates whose other half never came."""
        if self._half:
            self._half = ""
            thought = {"thought": True} if self._half_is_thought else {}
            self._remember({"text": "\ufffd", **thought})
            yield from self._say("\ufffd", thought=self._half_is_thought)

    def _picture(self, blob: Json) -> Iterator[Delta]:
        if str(blob.get("mimeType", "")).startswith("image/"):
            self._end_message()
            kind, status = "image_generation_call", "completed"
            yield OutputItem({"type": kind, "status": status, "result": a_text(blob["data"])})

    def _ran(self, result: Json) -> Delta:
        """Code that Google ran."""
        self._end_message()
        logs = text_or_none(result.get("output"))
        return OutputItem(
            {
                "type": "code_interpreter_call",
                "status": "completed" if result.get("outcome") == "OUTCOME_OK" else "failed",
                # Google names no container; every answer has one of its own.
                "container_id": (self._info and self._info.upstream_id) or "",
                "code": self._code,
                "outputs": [] if logs is None else [{"type": "logs", "logs": logs}],
            }
        )

    def _call(self, part: Json) -> Iterator[Delta]:
        call = part["functionCall"]
        if self._growing is not None and not call.get("name"):
            self._growing.grow(part)
        else:
            yield from self._finish_call()
            self._end_message()
            self._growing = GrowingCall(part)
            yield ToolCallStarted(self._calls, a_name(call["name"]), text_or_none(call.get("id")))
        if not call.get("willContinue"):
            yield from self._finish_call()

    def _finish_call(self) -> Iterator[Delta]:
        if self._growing is None:
            return
        arguments = orjson.dumps(self._growing.args).decode()
        yield ToolCallDelta(self._calls, arguments)
        yield ItemFinished(self._calls)
        self._remember(self._growing.part)
        self._growing = None
        self._calls += 1
        self._cut = self._one_call

    def _end_message(self) -> None:
        self._before += self._message
        self._message = []

    # --- the native turn

    def _remember(self, part: Json) -> None:
        """Verbatim, but for text that was cut in pieces only to be streamed. Nothing is added to a
        part with a signature."""
        if part in ({}, {"text": ""}, {"text": "", "thought": True}):
            return
        if self._text and _is_plain(part) and part.get("thought") == self._parts[-1].get("thought"):
            self._text.append(part["text"])
            return
        self._join()
        self._parts.append(part)
        if _is_plain(part):
            self._text = [part["text"]]

    def _join(self) -> None:
        """The last part is whole: adding each piece to it would copy it as often."""
        if len(self._text) > 1:
            self._parts[-1] = {**self._parts[-1], "text": "".join(self._text)}
        self._text = []

    def _needs_native(self) -> bool:
        self._join()
        return not all(_is_plain(part) or _is_plain_call(part) for part in self._parts)

    # --- the end

    def _reason(self) -> StopReason:
        if self._finish is None:
            return "content_filter"  # the prompt was blocked
        reason = STOP_REASONS.get(self._finish)
        if reason is None:
            raise self._failed()
        return reason

    def _failed(self) -> UpstreamError:
        message = f"the model gave up generating (finishReason {self._finish})"
        if self._finish_message:
            message += f": {self._finish_message}"
        return streamed_error({"error": message}, provider=self._provider)

    def _broken(self, message: str) -> UpstreamProtocolError:
        return UpstreamProtocolError(f"{self._provider}: {message}", provider=self._provider)


def _only_text(chunk: Any) -> str | None:
    """Of a chunk that says this and what was used so far."""
    candidates = chunk.get("candidates") if isinstance(chunk, dict) else None
    if not candidates or len(candidates) > 1 or not chunk.keys() <= _PLAIN_CHUNK:
        return None
    candidate = candidates[0]
    if not candidate.keys() <= _PLAIN_CANDIDATE or candidate.get("index"):
        return None
    parts: Sequence[Json] = (candidate.get("content") or {}).get("parts") or ()
    text = parts[0].get("text") if len(parts) == 1 and len(parts[0]) == 1 else None
    return text if isinstance(text, str) else None


def _is_plain(part: Json) -> bool:
    """Text or a thought, and nothing else."""
    return "text" in part and part.keys() <= {"text", "thought"}


def _is_plain_call(part: Json) -> bool:
    """A call that its item says all of."""
    id = part["functionCall"].get("id") if part.keys() == {"functionCall"} else None
    return isinstance(id, str) and 0 < len(id) <= _MAX_CALL_ID
