"""Two recorded steps of one conversation: from the first answer, we rebuild the second request.

That request was written by another client and accepted by the API. The differences that remain are
listed in `plain`, each with the reason why it changes nothing.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cases import SHARED, Recording, needs_recordings
from responses_cases import ANSWERS, EVERY, adapter_for, answered_upstream, deltas_of

from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import NativeTurn
from responses_mw.items import stored_items
from responses_mw.native_refs import pack, unpack
from responses_mw.turn import Item, Span, Turn

KEPT_UPSTREAM = {"openai/openinference-processor-multiple-tools-0"}
"""That client continued from the upstream's own response id."""
RESPONSE = "resp_" + "0" * 32
STRAIGHT = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}


def loops() -> list[tuple[Recording, Recording]]:
    if SHARED is None:
        return []
    first, then = {r.id: r for r in ANSWERS}, {r.id: r for r in EVERY}
    pairs = json.loads((SHARED / "recordings" / "loops.json").read_bytes())
    return [
        (first[pair["first"]], then[pair["next"]])
        for pair in pairs
        if pair["first"] in first and pair["next"] in then
    ]


LOOPS = [(a, b) for a, b in loops() if a.id not in KEPT_UPSTREAM]


def items_of(given: str | list[Item]) -> list[Item]:
    """A recorded input as it would be stored here."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return stored_items(given, RESPONSE)


def spans_of(items: list[Item], recording: Recording) -> Iterator[Span]:
    """Reasoning in a recorded history was some earlier answer's, and so kept in its own form."""
    assert recording.request
    scope = adapter_for(recording).scope(Turn(model=recording.request["model"], spans=()))
    for item in items:
        signed = item["type"] == "reasoning"
        yield Span([item], NativeTurn(scope, {"items": [item]}) if signed else None)


def stored(first: Recording, turn: Turn) -> Span:
    """The first answer, through what a store keeps of it."""
    assembler = ResponseAssembler({"id": RESPONSE})
    assembler.start()
    for delta in deltas_of(first):
        assembler.feed(delta)
    assembler.finish()
    if assembler.native is None:
        return Span(assembler.output)
    adapter = adapter_for(first)
    native = NativeTurn(adapter.scope(turn), assembler.native.state)
    kept = json.loads(json.dumps(pack(native.state, assembler.output)))
    return Span(assembler.output, NativeTurn(native.scope, unpack(kept, assembler.output)))


def plain(item: Item, then: str) -> Any:
    """The accepted differences:

    - a message's `type`, a content of one text as a string, annotations and logprobs: spelling;
    - ids and status of items: nothing is looked up by them where nothing is stored upstream;
    - reasoning of xAI that was sent back without id and status, and empty lists of reasoning;
    - `tools` of mcp_list_tools, output and error of mcp_call, outputs of code: left out by them;
    - smart quotes, which the recording made straight;
    - call ids where the upstream uses the same ones again: each client makes others, and the order
      of calls and outputs says which belong together.
    """
    kind = item.get("type") or "message"
    if kind == "message":
        content = item["content"]
        if isinstance(content, list):
            content = [part.get("text") or part["image_url"] for part in content]
        words = content if isinstance(content, str) else "".join(content)
        return kind, item["role"], words.translate(STRAIGHT), item.get("phase")
    unsaid = {"id", "status", "tools", "output", "outputs", "error", "approval_request_id"}
    if kind.endswith("_output"):
        unsaid.remove("output")
    if "call-ids" in then:
        unsaid.add("call_id")
    return {k: v for k, v in item.items() if k not in unsaid and v not in (None, [])}


@needs_recordings
@pytest.mark.parametrize(("first", "then"), LOOPS, ids=[str(pair[0]) for pair in LOOPS])
def test_the_next_request_is_rebuilt_from_the_exchange_before(
    first: Recording, then: Recording
) -> None:
    assert first.request
    assert then.request
    before = items_of(first.request["input"])
    after = then.request["input"]
    asked = Turn(model=first.request["model"], spans=list(spans_of(before, first)))
    answer = stored(first, asked)
    said = len(before) + len(answered_upstream(first)["output"])
    new = [answering(item, answer) for item in items_of(after[said:])]
    turn = Turn(model=then.request["model"], spans=[*asked.spans, answer, Span(new)])

    sent = adapter_for(first).encode(turn).body

    kind = then.id
    assert [plain(item, kind) for item in sent["input"]] == [plain(item, kind) for item in after]
    assert sent["store"] is False
    for item in answered_as_input(first):
        assert item in sent["input"]


def answering(item: Item, answer: Span) -> Item:
    """Where that client made its own call ids, the output of ours."""
    calls = [said["call_id"] for said in answer.items if said["type"] == "function_call"]
    if item["type"] == "function_call_output" and item["call_id"] not in calls:
        [own] = calls
        return {**item, "call_id": own}
    return item


def answered_as_input(first: Recording) -> list[Item]:
    """Signatures go back unmodified: these are the items as the upstream said them."""
    output = [delta.state["items"] for delta in deltas_of(first) if isinstance(delta, NativeTurn)]
    return [item for items in output for item in items]


@needs_recordings
def test_every_loop_is_there() -> None:
    assert len(LOOPS) == 17
