"""Two recorded steps of one conversation: from the first answer, we rebuild the second request.

That request was written by another client and accepted by the API. The differences that remain are
listed below, each with the reason why it changes nothing.
"""

import json
from typing import Any

import pytest
from cases import SHARED, Recording, needs_recordings, recorded
from gemini_cases import adapter_for, body_of, deltas_of

from responses_mw.assembler import ResponseAssembler
from responses_mw.deltas import NativeTurn
from responses_mw.turn import Item, Span, Turn

Content = dict[str, Any]


def loops() -> list[tuple[Recording, Recording]]:
    if SHARED is None:
        return []
    by_id = {recording.id: recording for recording in recorded("gemini", "vertex_ai")}
    pairs = json.loads((SHARED / "recordings" / "loops.json").read_bytes())
    return [(by_id[p["first"]], by_id[p["next"]]) for p in pairs if p["first"] in by_id]


def normalised(contents: list[Content]) -> list[Content]:
    """The accepted differences:

    - names of fields in either spelling: the API reads both;
    - the object around a tool's output, {"result": ...} or {"name", "content": [{"text": ...}]}:
      the API takes any;
    - media that a tool gave stand behind its output, in the same content or in the next, with or
      without a line that says so;
    - thoughts in words: we send back all parts as they came, that client leaves these out;
    - ids of calls and results: we send those that came, that client leaves them out;
    - a signature on a second call that came without one: that client copied the first one.
    """
    found: list[Content] = []
    for content in contents:
        parts = [
            part_of(part) for part in without_copies(content["parts"]) if "thought" not in part
        ]
        attached = found and is_result(found[-1]) and content["role"] == "user"
        if attached and any("inlineData" in part for part in parts):
            found[-1]["parts"] += [part for part in parts if "text" not in part]
        else:
            found.append({"role": content["role"], "parts": parts})
    return [without_labels(content) if is_result(content) else content for content in found]


def without_copies(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    seen: list[str] = []
    kept = []
    for part in parts:
        signature = part.get("thoughtSignature", "")
        copied = signature in seen
        kept.append({k: v for k, v in part.items() if k != "thoughtSignature" or not copied})
        seen.append(signature)
    return kept


def is_result(content: Content) -> bool:
    return "functionResponse" in content["parts"][0]


def without_labels(content: Content) -> Content:
    return {**content, "parts": [part for part in content["parts"] if "text" not in part]}


def part_of(part: dict[str, Any]) -> dict[str, Any]:
    if "inline_data" in part:
        blob = part["inline_data"]
        return {"inlineData": {"mimeType": blob["mime_type"], "data": blob["data"]}}
    if "functionResponse" in part:
        result = {
            **part["functionResponse"],
            "response": said(part["functionResponse"]["response"]),
        }
        return {"functionResponse": without_id(result)}
    if "functionCall" in part:
        return {**part, "functionCall": without_id(part["functionCall"])}
    return part


def without_id(named: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in named.items() if key != "id"}


def said(response: dict[str, Any]) -> str:
    if "result" in response:
        return str(response["result"])
    return "".join(part["text"] for part in response["content"])


def client_items(content: Content, calls: list[str]) -> list[Item]:
    """What the client said, as the items it would have sent to us; it knows calls by our ids."""
    items: list[Item] = []
    for part in normalised([content])[0]["parts"]:
        match part:
            case {"functionResponse": result}:
                output: Any = [{"type": "input_text", "text": result["response"]}]
                call_id = calls.pop(0)
                items.append({"type": "function_call_output", "call_id": call_id, "output": output})
            case {"inlineData": blob}:
                url = f"data:{blob['mimeType']};base64,{blob['data']}"
                items[-1]["output"].append({"type": "input_file", "file_data": url})
            case {"text": text}:
                told = [{"type": "input_text", "text": text}]
                items.append({"type": "message", "role": "user", "content": told})
    return items


def answered(first: Recording, turn: Turn) -> Span:
    """What is stored of the first answer."""
    assembler = ResponseAssembler({"id": "resp_" + "1" * 32})
    assembler.start()
    native = None
    adapter = adapter_for(first)
    for delta in deltas_of(body_of(first), streamed=first.streamed, turn=turn, adapter=adapter):
        assembler.feed(delta)
        native = delta if isinstance(delta, NativeTurn) else native
    assembler.finish()
    return Span(assembler.output, native)


def stored(content: Content, scope: str, n: int) -> Span:
    """An earlier turn of the model, which this pair of recordings did not see being made."""
    calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
    items = [
        {"type": "function_call", "call_id": f"call_{n}", "name": call["name"], "arguments": "{}"}
        for call in calls
    ]
    return Span(items, NativeTurn(scope, content["parts"]))


def calls_of(span: Span) -> list[str]:
    return [item["call_id"] for item in span.items if item["type"] == "function_call"]


@pytest.mark.parametrize(("first", "then"), loops(), ids=str)
def test_second_request_is_rebuilt_from_the_first_answer(first: Recording, then: Recording) -> None:
    assert then.request is not None
    sent = then.request["contents"]
    adapter = adapter_for(first)
    turn = Turn(model="gemini-2.5-flash", spans=())
    last = max(n for n, content in enumerate(sent) if content["role"] == "model")
    spans: list[Span] = []
    calls: list[str] = []
    for n, content in enumerate(sent):
        if content["role"] == "user":
            spans.append(Span(client_items(content, calls)))
            continue
        answer = stored(content, adapter.scope(turn), n) if n < last else answered(first, turn)
        spans.append(answer)
        calls += calls_of(answer)

    rebuilt = adapter.encode(Turn(model=turn.model, spans=spans)).body["contents"]

    assert normalised(rebuilt) == normalised(sent)
    assert ids(rebuilt[last + 1], "functionResponse") == ids(rebuilt[last], "functionCall")
    if not first.streamed:
        came = json.loads(first.body)["candidates"][0]["content"]["parts"]
        assert rebuilt[last]["parts"] == came


def ids(content: Content, kind: str) -> list[str | None]:
    return [part[kind].get("id") for part in content["parts"] if kind in part]


@needs_recordings
def test_every_loop_is_there() -> None:
    assert len(loops()) == 8
