"""Tells a stored response's stream again: the same events, under the same numbers.

The deltas are cut from the stored output and assembled once more; what the response has become
since (its end, its sealed reasoning) is taken from the store.
"""

from typing import Any

from responses_mw import cuts
from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import Stopped
from responses_mw.errors import ResponsesError
from responses_mw.output_items import Event, Item

TERMINAL = frozenset({"completed", "incomplete", "failed"})
_UNSAID = {
    "status": "in_progress",
    "completed_at": None,
    "error": None,
    "incomplete_details": None,
    "usage": None,
    "service_tier": "default",
}


def retell(
    body: dict[str, Any], output: list[Item], kept: dict[str, Any] | None
) -> tuple[list[Event], ResponseAssembler]:
    """The events up to where the output stands now, and the assembler that could go on from there.

    `kept` are the response's cuts; None for an answer that was never streamed. The deltas stand for
    what was said only, so nothing can fail: it was assembled before.
    """
    kept = kept or {"queued": body["background"], "raw": None, "groups": cuts.whole(output)}
    assembler = ResponseAssembler({**body, **_UNSAID}, raw_reasoning=kept["raw"], again=True)
    events = assembler.start("queued" if kept["queued"] else "in_progress")
    for delta in cuts.deltas(output, kept["groups"]):
        events += assembler.feed(delta)
    return events, assembler


def _ended(assembler: ResponseAssembler, body: dict[str, Any]) -> list[Event]:
    if body["status"] == "failed":
        return assembler.fail(ResponsesError("told from the store"))
    if body["status"] == "incomplete":
        assembler.feed(Stopped(body["incomplete_details"]["reason"]))
    return assembler.finish()


def replay(body: dict[str, Any], output: list[Item], kept: dict[str, Any] | None) -> list[Event]:
    """All events of a response that has ended, or those so far of one that runs."""
    events, assembler = retell(body, output, kept)
    if body["status"] in TERMINAL:
        events += _ended(assembler, body)
        events[-1] = {
            "type": f"response.{body['status']}",
            "response": {**body, "output": output},
            "sequence_number": events[-1]["sequence_number"],
        }
    elif body["status"] == "cancelled":
        events += assembler.cancel()
    for event in events:
        if event["type"] == "response.output_item.done":
            event["item"] = output[event["output_index"]]
    return events
