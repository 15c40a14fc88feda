"""Compaction: a summary by the model, and what is kept word for word, for a whole conversation.

What is asked for, what is kept and what stands in its place is decided here. The item that carries
it is sealed and opened in `seals`; where a chain begins again with it, in `conversation`.
"""

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from responses_mw.counting import estimate, estimate_items
from responses_mw.deltas import Delta, OutputItem, Stopped, TextDelta, UsageReported, singly
from responses_mw.errors import InvalidRequest, UpstreamProtocolError
from responses_mw.exchanges import is_question, is_rule, joined, newest, pieces_of
from responses_mw.records import TurnRecord
from responses_mw.router import Answers, Deployment
from responses_mw.seals import Compacted
from responses_mw.turn import Item, Span, Turn

SealCompaction = Callable[[Compacted], str]

INSTRUCTION = (
    "Write a summary of the conversation so far. It will take the conversation's place: whoever "
    "continues from it knows nothing else of what stands above. Keep what was asked and what of it "
    "is done, decisions and their reasons, names, numbers, dates, identifiers and paths exactly as "
    "they were given, what tools found out, what the user prefers, and what is still open. Leave "
    "out greetings and repetition. Begin with the summary at once; call no tool and answer no "
    "earlier question."
)
_HEADING = "Summary of the conversation up to here, written by the assistant:\n\n"
SUMMARY_ID = "compaction_summary"
_MOST_CHARS = 1_000_000
"""A summary that is longer is none."""
_LEAST_GAIN = 0.25
"""Of the threshold: what could be compacted but is less than this stays as it is."""


@dataclass(frozen=True, slots=True)
class Summary:
    text: str
    usage: UsageReported
    deployment: Deployment
    """Who wrote it."""


async def summarise(answers: Answers, turn: Turn, record: TurnRecord) -> Summary:
    """Asks the turn's model. Its conversation, tools and instructions stay as they are, so that a
    prompt cache knows them. Raises UpstreamProtocolError for anything but a whole summary."""
    asked = _asking(turn)
    text: list[str] = []
    length = 0
    usage: UsageReported | None = None
    stopped = Stopped()
    async with contextlib.aclosing(answers.batches(asked, record)) as batches:
        async for deployment, deltas in batches:
            record.deployment, record.upstream_model = deployment.id, deployment.model
            for delta in singly(deltas):
                match delta:
                    case TextDelta(piece):
                        text.append(piece)
                        length += len(piece) + 1  # an empty one is kept, too
                    case UsageReported():
                        usage = delta
                    case Stopped():
                        stopped = delta
                    case _:
                        pass
            if length > _MOST_CHARS:
                raise UpstreamProtocolError(
                    f"{turn.model} did not summarise the conversation: it wrote more than"
                    f" {_MOST_CHARS} characters"
                )
    said = "".join(text).strip()
    if not said or stopped.reason != "stop":
        why = "it wrote nothing" if not said else f"it stopped early ({stopped.reason})"
        raise UpstreamProtocolError(f"{turn.model} did not summarise the conversation: {why}")
    return Summary(said, usage or _estimated(asked, said), deployment)


def _asking(turn: Turn) -> Turn:
    return dataclasses.replace(
        turn,
        spans=[*turn.spans, Span([_user_message(INSTRUCTION)])],
        tool_choice="none" if turn.tools else "auto",
        text_format=None,
        verbosity=None,
        max_output_tokens=None,
        logprobs=False,
        top_logprobs=None,
        encrypted_reasoning=False,
    )


def _estimated(turn: Turn, said: str) -> UsageReported:
    """For providers that report no usage."""
    return UsageReported(estimate(turn), round(estimate_items([_user_message(said)])))


def _user_message(text: str, id: str = "compaction_instruction") -> Item:
    content = [{"type": "input_text", "text": text}]
    return {"id": id, "type": "message", "role": "user", "status": "completed", "content": content}


# --- the whole of it: POST /responses/compact


async def compact(
    answers: Answers, turn: Turn, record: TurnRecord, *, seal: SealCompaction
) -> tuple[list[Item], UsageReported]:
    """The user's messages as they are, then one compaction item, without an id."""
    pieces = pieces_of(turn.spans)
    summary = await summarise(answers, turn, record)
    rules = [piece for piece in pieces if is_rule(piece)]
    item = _item(seal, [*rules, _summary_piece(summary)], whole=False)
    return [*_said_by_user(pieces), item], summary.usage


def _said_by_user(pieces: Iterable[Span]) -> list[Item]:
    said = (piece for piece in pieces if is_question(piece) and not _is_summary(piece))
    return [item for piece in said for item in piece.items]


# --- in the middle of a conversation: context_management


class Compacting:
    """Compacts a turn that has more than `threshold` tokens before it is asked.

    The newest input, with the calls that it answers, stays word for word, and so do rules and the
    last question. The item is the first thing that is said, once the model has begun to answer.
    """

    def __init__(self, answers: Answers, *, threshold: int, seal: SealCompaction) -> None:
        self._answers = answers
        self._threshold = threshold
        self._seal = seal

    async def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]:
        pieces = pieces_of(turn.spans) if estimate(turn) > self._threshold else []
        start = newest(pieces)
        if _tokens(pieces[:start]) < self._threshold * _LEAST_GAIN:
            async with contextlib.aclosing(self._answers.batches(turn, record)) as batches:
                async for batch in batches:
                    yield batch
            return
        summary = await summarise(
            self._answers, dataclasses.replace(turn, spans=joined(pieces[:start])), record
        )
        kept = [*_kept(pieces[:start], pieces[start:]), _summary_piece(summary), *pieces[start:]]
        first: list[Delta] = [OutputItem(_item(self._seal, kept, whole=True)), summary.usage]
        turn = dataclasses.replace(turn, spans=joined(kept))
        async with contextlib.aclosing(self._answers.batches(turn, record)) as batches:
            async for deployment, deltas in batches:
                yield deployment, [*first, *(_adding(delta, summary.usage) for delta in deltas)]
                first = []


class Triggered:
    """Compacts the whole conversation, and answers with that: its client ended the input with a
    `compaction_trigger`. Rules and what the user said stay word for word, in the item itself: it
    also stands for those that the client sends before it, as Codex does."""

    def __init__(self, answers: Answers, *, seal: SealCompaction) -> None:
        self._answers = answers
        self._seal = seal

    async def batches(
        self, turn: Turn, record: TurnRecord
    ) -> AsyncGenerator[tuple[Deployment, list[Delta]], None]:
        pieces = pieces_of(turn.spans)
        if not pieces:
            raise InvalidRequest("There is no conversation to compact yet.", param="input")
        summary = await summarise(self._answers, turn, record)
        kept = [piece for piece in pieces if is_rule(piece) or is_question(piece)]
        kept = [*(piece for piece in kept if not _is_summary(piece)), _summary_piece(summary)]
        item = OutputItem(_item(self._seal, kept, whole=True))
        yield summary.deployment, [item, summary.usage, Stopped()]


def _kept(old: Sequence[Span], new: Sequence[Span]) -> list[Span]:
    """Of what is summarised: rules, and the question that is still being answered."""
    kept = [piece for piece in old if is_rule(piece)]
    if not any(map(is_question, new)):
        kept += [piece for piece in old if is_question(piece) and not _is_summary(piece)][-1:]
    return kept


def _tokens(pieces: Iterable[Span]) -> float:
    return sum(estimate_items(piece.items) for piece in pieces)


def _adding(delta: Delta, spent: UsageReported) -> Delta:
    return delta.plus(spent) if isinstance(delta, UsageReported) else delta


def _is_summary(piece: Span) -> bool:
    return piece.items[0].get("id") == SUMMARY_ID


def _summary_piece(summary: Summary) -> Span:
    return Span([_user_message(_HEADING + summary.text, SUMMARY_ID)])


def _item(seal: SealCompaction, pieces: Sequence[Span], *, whole: bool) -> dict[str, Any]:
    sealed = seal(Compacted(joined(pieces), whole))
    return {"type": "compaction", "encrypted_content": sealed}
