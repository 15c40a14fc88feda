"""Turns deltas into the events of one response, and into the response itself.

Everything that depends on order lives here and in `lifecycle`, and nowhere else: sequence numbers,
indexes, item ids, item and response status, and that there is exactly one terminal event.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, assert_never

from responses_mw import cuts
from responses_mw.canonical import ADDED, PassedItems
from responses_mw.deltas import (
    AnnotationAdded,
    Canonical,
    Delta,
    ItemFinished,
    MessageStarted,
    NativeTurn,
    Note,
    Opening,
    OutputItem,
    PartFinished,
    ReasoningDelta,
    RefusalDelta,
    Stopped,
    TextDelta,
    TextRun,
    ToolCallDelta,
    ToolCallStarted,
    UpstreamInfo,
    UsageReported,
)
from responses_mw.envelope import usage_body
from responses_mw.errors import ResponsesError, UpstreamProtocolError
from responses_mw.ids import output_item_id, random_part
from responses_mw.lifecycle import Lifecycle
from responses_mw.output_items import (
    DeltaRun,
    Event,
    Item,
    ItemStatus,
    OpenCall,
    OpenItem,
    OpenMessage,
    OpenReasoning,
    RawReasoning,
    Told,
    characters,
    singly,
)
from responses_mw.whole_items import IN_PIECES, Calls, checked, in_pieces

Seal = Callable[[NativeTurn | None, Sequence[Item]], str]
"""Makes the `encrypted_content` that stands for the given items."""

_MAX_CALL_ID = 64
_EVENT_BYTES = 64
"""What a piece of an answer takes to keep, however short it is."""


class ResponseAssembler(Lifecycle):
    """`response` is the object as created, `output` empty; it is copied, never modified.

    `callable_tools`: calling any other function is the upstream's error (`tool_choice` forbade it).
    `seal`: set when the client asked for encrypted reasoning. `max_bytes`: what `tell` takes.
    `again`: what is said was checked when it was said first.
    """

    def __init__(
        self,
        response: dict[str, Any],
        *,
        callable_tools: Collection[str] | None = None,
        raw_reasoning: RawReasoning | None = None,
        seal: Seal | None = None,
        max_bytes: int | None = None,
        again: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(response)
        self._callable_tools = callable_tools
        self._raw_reasoning: RawReasoning | None = raw_reasoning
        self._seal = seal
        self._sealed = False
        self._max_bytes = max_bytes
        self._again = again
        self._now = now
        self._items: list[OpenItem] = []
        self._open: OpenMessage | OpenReasoning | None = None
        self._calls: dict[str | int, OpenCall] = {}
        self._call_ids: Calls = set()
        self._passed = PassedItems()
        self._stopped: Stopped | None = None
        self._cuts = cuts.CutList()
        self.native: NativeTurn | None = None
        self.info = UpstreamInfo()
        self.usage: UsageReported | None = None

    @property
    def output(self) -> list[Item]:
        return [item.snapshot() for item in self._items]

    @property
    def chars(self) -> int:
        return self._cuts.chars

    @property
    def _size(self) -> int:
        """About as many bytes as it takes to keep what was said."""
        pieces = self._sequence + len(self._cuts.groups)
        return self._cuts.chars + self._cuts.besides + _EVENT_BYTES * pieces

    @property
    def cuts(self) -> dict[str, Any]:
        """How the events so far can be made again from `output` (see `replay`)."""
        groups = self._cuts.groups
        return {"queued": self._queued, "raw": self._raw_reasoning, "groups": groups}

    def feed(self, delta: Delta) -> list[Event]:
        """Raises UpstreamProtocolError for deltas that make no sense together."""
        match delta:
            case TextDelta(text, logprobs):
                return self._stamp(self._text(characters(text), logprobs))
            case TextRun():
                return singly(self._run(delta.texts))
            case ToolCallDelta(key, arguments):
                call = self._call(key)
                self._cuts.add(cuts.ARGUMENTS, call.output_index, len(arguments))
                return self._stamp(call.argue(characters(arguments)))
            case ReasoningDelta(text, raw):
                return self._stamp(self._think(characters(text), raw=raw))
            case RefusalDelta(text):
                opening, message = self._message()
                self._cuts.add(cuts.REFUSAL, message.output_index, len(text))
                return self._stamp([*opening, *message.refusal(characters(text))])
            case AnnotationAdded(annotation):
                opening, message = self._message()
                self._cuts.add(cuts.ANNOTATION, message.output_index)
                self._cuts.weigh(annotation)
                return self._stamp([*opening, *message.annotate(annotation)])
            case OutputItem(item):
                return self._whole_item(item)
            case _:
                return self._stamp(self._seldom(delta))

    def _seldom(self, delta: Opening | Note) -> list[Event]:
        match delta:
            case MessageStarted(phase):
                self._cuts.add(cuts.STARTED, len(self._items))
                return [*self._close_all(), *self._message(phase)[0]]
            case ToolCallStarted():
                return self._start_call(delta)
            case Canonical(event, key):
                return self._pass(event, key)
            case PartFinished():
                return self._finish_part()
            case _:
                self._note(delta)
        return []

    def tell(self, deltas: Iterable[Delta]) -> list[Told]:
        """`feed` for several: runs stay together. Raises for an upstream that goes on when enough
        was said."""
        if self._max_bytes is not None and self._size > self._max_bytes:
            raise UpstreamProtocolError(
                f"the answer is longer than max_output_bytes ({self._max_bytes}) and did not end;"
                " what was said until then is kept",
                code="output_too_large",
            )
        told: list[Told] = []
        for delta in deltas:
            told += self._run(delta.texts) if isinstance(delta, TextRun) else self.feed(delta)
        return told

    def _note(self, delta: Note) -> None:
        match delta:
            case ItemFinished(key, native):
                self._finish_item(key, native)
            case NativeTurn():
                self.native = delta
            case UsageReported():
                self.usage = delta if delta.countable else self.usage
            case UpstreamInfo():
                self.info = delta.after(self.info)
                if delta.service_tier:
                    self._envelope["service_tier"] = delta.service_tier
            case Stopped():
                self._stopped = delta
            case other:
                assert_never(other)

    def finish(self) -> list[Event]:
        """The upstream is done. The last event is the terminal one."""
        reason = self._stopped.reason if self._stopped is not None else "stop"
        events = self._close_rest(incomplete=reason != "stop")
        events += self._trailing_seal()
        if reason == "stop":
            at = int(self._now())
            return self._end(events, "completed", completed_at=at, usage=self._usage())
        details = {"reason": reason}
        return self._end(events, "incomplete", incomplete_details=details, usage=self._usage())

    def fail(self, error: ResponsesError) -> list[Event]:
        """What was written so far stays, its last item incomplete."""
        events = self._close_rest(incomplete=True)
        return self._end(events, "failed", error=error.in_response(), usage=self._usage())

    def cancel(self) -> list[Event]:
        """Ends without a terminal event: the protocol has none for it."""
        self._terminal = True
        events = self._close_rest(incomplete=True)
        self._envelope.update(status="cancelled", usage=self._usage())
        return self._stamp(events)

    # --- items

    def _text(self, text: str, logprobs: Sequence[Any]) -> list[Event]:
        message = self._open
        opening: list[Event] = []
        if not isinstance(message, OpenMessage) or message.finished or self._calls:
            if not text:
                return []
            opening, message = self._message()
        if logprobs:
            self._cuts.add(cuts.LOGPROBS, message.output_index, len(text), len(logprobs))
            self._cuts.weigh(list(logprobs))
        else:
            self._cuts.add_text(message.output_index, len(text))
        said = message.text(text, logprobs)
        return [*opening, *said] if opening else said

    def _run(self, texts: Sequence[str]) -> list[Told]:
        if not texts:
            return []
        opening, message = self._message()
        self._cuts.add_run(message.output_index, texts)
        *more, run = message.run(texts)
        assert isinstance(run, DeltaRun)
        told: list[Told] = [*self._stamp(opening), *self._stamp(singly(more)), run]
        run.first = self._sequence
        self._sequence += len(texts)
        return told

    def _think(self, text: str, *, raw: bool) -> list[Event]:
        opening, item = self._reasoning()
        said = item.think(text, raw=raw)
        if opening and not said:
            self._cuts.add(cuts.SUMMARY, item.output_index, 0)
        elif said:
            kind = cuts.CONTENT if raw and self._raw_reasoning is not None else cuts.SUMMARY
            self._cuts.add(kind, item.output_index, len(text))
        return [*opening, *said]

    def _message(self, phase: str | None = None) -> tuple[list[Event], OpenMessage]:
        if isinstance(self._open, OpenMessage) and not self._open.finished and not self._calls:
            return [], self._open
        events = self._close_all()
        index = len(self._items)
        message = self._open = OpenMessage(self._item_id("message", index), index, phase)
        self._items.append(message)
        return [*events, *message.opened()], message

    def _reasoning(self) -> tuple[list[Event], OpenReasoning]:
        if isinstance(self._open, OpenReasoning) and not self._open.finished and not self._calls:
            return [], self._open
        events = self._close_all()
        index = len(self._items)
        item = OpenReasoning(self._item_id("reasoning", index), index, self._raw_reasoning)
        self._items.append(item)
        self._open = item
        return [*events, *item.opened()], item

    def _start_call(self, delta: ToolCallStarted) -> list[Event]:
        if delta.key in self._calls and not self._calls[delta.key].finished:
            raise UpstreamProtocolError(f"the upstream started tool call {delta.key!r} twice")
        if self._callable_tools is not None and delta.name not in self._callable_tools:
            raise UpstreamProtocolError(
                f"the model called {delta.name!r}, which tool_choice does not allow; "
                f"allowed: {', '.join(sorted(self._callable_tools)) or 'no tool at all'}"
            )
        events = [*self._close_open(), *self._close_finished()]
        index = len(self._items)
        self._cuts.add(cuts.CALL, index)
        self._cuts.weigh([delta.name, delta.extra])
        call_id = delta.call_id
        if not call_id or len(call_id) > _MAX_CALL_ID or ("calls", call_id) in self._call_ids:
            call_id = f"call_{random_part(self._envelope['id'])}_{index}"
        self._call_ids.add(("calls", call_id))
        id = self._item_id("function_call", index)
        call = OpenCall(id, index, name=delta.name, call_id=call_id, extra=delta.extra)
        self._items.append(call)
        self._calls[delta.key] = call
        return [*events, *call.opened()]

    def _whole_item(self, item: Mapping[str, Any]) -> list[Event]:
        index = len(self._items)
        id = self._item_id(str(item.get("type")), index)
        item = {**item, "id": id} if self._again else checked(item, id, self._call_ids)
        if item["type"] in IN_PIECES and not self._again:
            pieces = [ItemFinished(), *in_pieces(item, f"item {index}")]
            return [event for delta in pieces for event in self.feed(delta)]
        self._cuts.add(cuts.WHOLE, index)
        self._cuts.weigh(item)
        closing = self._close_all()
        whole = OpenItem({**item, "status": "in_progress"}, index)
        self._items.append(whole)
        opened = whole.opened()
        whole.item = {**item, "status": item.get("status") or "completed"}
        return self._stamp([*closing, *opened, whole._event("done", whole.item)])

    def _pass(self, event: Mapping[str, Any], key: str | int | None) -> list[Event]:
        opening = self._close_finished() if event["type"] == ADDED else []
        if event["type"] == ADDED:
            index, item = len(self._items), event["item"]
            id = self._item_id(str(item["type"]), index)
            self._items.append(self._passed.begin(key, item, id, index))
        passed = self._passed.take(key, event, self._open)
        self._cuts.add_passed(passed)
        return [*opening, passed]

    def _finish_part(self) -> list[Event]:
        if self._open is None or self._open.finished:
            return []
        self._cuts.add(cuts.PART, self._open.output_index)
        return self._open.close_part()

    def _finish_item(self, key: str | int | None, native: NativeTurn | None) -> None:
        item = self._open if key is None else self._call(key)
        if item is None:
            return
        self._cuts.add(cuts.FINISHED, item.output_index)
        item.finished = True
        if isinstance(item, OpenReasoning) and self._seal is not None and native is not None:
            item.encrypted_content = self._seal(native, [item.snapshot()])
            self._sealed = True

    def _call(self, key: str | int) -> OpenCall:
        call = self._calls.get(key)
        if call is None:
            raise UpstreamProtocolError(
                f"the upstream continued tool call {key!r}, which is not open"
            )
        return call

    def _item_id(self, item_type: str, index: int) -> str:
        return output_item_id(self._envelope["id"], item_type, index)

    # --- closing

    def _close_open(self, status: ItemStatus = "completed") -> list[Event]:
        item, self._open = self._open, None
        if item is None:
            return []
        if isinstance(item, OpenReasoning) and self._seal is not None:
            item.encrypted_content = item.encrypted_content or self._seal(None, [item.snapshot()])
        return item.closed(status)

    def _close_finished(self) -> list[Event]:
        events = self._close_open() if self._open is not None and self._open.finished else []
        done = [key for key, call in self._calls.items() if call.finished]
        return events + [e for key in done for e in self._calls.pop(key).closed("completed")]

    def _close_all(self, *, incomplete: bool = False) -> list[Event]:
        """Only the last item may be incomplete (Open Responses), and only in a response that is."""
        last = self._items[-1] if self._items else None
        events: list[Event] = []
        if self._open is not None:
            cut = incomplete and self._open is last
            events += self._close_open("incomplete" if cut else "completed")
        for call in self._calls.values():
            cut = incomplete and call is last
            events += call.closed("incomplete" if cut else "completed")
        self._calls = {}
        return events

    def _close_rest(self, *, incomplete: bool) -> list[Event]:
        last = self._items[-1] if self._items else None
        events = self._close_all(incomplete=incomplete)
        return [*events, *self._passed.closed(last, incomplete=incomplete)]

    def _trailing_seal(self) -> list[Event]:
        """A native turn that hangs on no reasoning item goes to the client in an empty one."""
        if self._seal is None or self._sealed or self.native is None:
            return []
        sealed = self._seal(self.native, self.output)
        opening, item = self._reasoning()
        item.encrypted_content = sealed
        return [*opening, *self._close_all()]

    def _usage(self) -> dict[str, Any] | None:
        return None if self.usage is None else usage_body(self.usage)
