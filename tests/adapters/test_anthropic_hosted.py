"""What Anthropic's own tools did is shown as the items that the Responses API has for it."""

from typing import Any

import pytest
from anthropic.types.beta import BetaRawContentBlockStartEvent
from cases import needs_recordings, recorded
from messages_cases import ADAPTER, TURN, items, play_recording
from openai.types.responses import (
    ResponseCodeInterpreterToolCall,
    ResponseFunctionWebSearch,
)
from orjson import dumps

from responses_mw.deltas import AnnotationAdded, OutputItem
from responses_mw.turn import Turn

RAN = {"stdout": "3\n", "stderr": "late\n", "return_code": 0, "content": []}
PAGES = [
    {"type": "web_search_result", "title": "A", "url": "https://a.org", "encrypted_content": "x"},
    {"type": "web_search_result", "title": "B", "url": "https://b.org", "encrypted_content": "y"},
]


def blocks(name: str, given: dict[str, Any], kind: str, content: Any) -> list[dict[str, Any]]:
    """A call and its result, as the official client knows them."""
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": name, "input": given}
    found = [call, {"type": f"{kind}_tool_result", "tool_use_id": "srvtoolu_1", "content": content}]
    for index, block in enumerate(found):
        BetaRawContentBlockStartEvent.model_validate(
            {"type": "content_block_start", "index": index, "content_block": block}
        )
    return found


def shown(*content: dict[str, Any], turn: Turn = TURN) -> list[Any]:
    body = dumps({"content": content, "stop_reason": "end_turn"})
    return [d.item for d in ADAPTER.decode(body, turn) if isinstance(d, OutputItem)]


@pytest.mark.parametrize(
    ("name", "given"),
    [("code_execution", {"code": "1 + 2"}), ("bash_code_execution", {"command": "1 + 2"})],
)
def test_code_that_ran_is_shown_with_what_it_printed(name: str, given: dict[str, str]) -> None:
    result = {"type": f"{name}_result", **RAN}
    (item,) = shown(*blocks(name, given, name, result))
    assert item == {
        "type": "code_interpreter_call",
        "status": "completed",
        "container_id": "srvtoolu_1",
        "code": "1 + 2",
        "outputs": [{"type": "logs", "logs": "3\nlate\n"}],
    }
    ResponseCodeInterpreterToolCall.model_validate({"id": "ci_1", **item}, strict=True)


def test_code_that_could_not_run_failed() -> None:
    name = "bash_code_execution"
    error = {"type": f"{name}_tool_result_error", "error_code": "unavailable"}
    (item,) = shown(*blocks(name, {"command": "ls"}, name, error))
    assert (item["status"], item["outputs"]) == ("failed", [])


def test_edits_in_a_container_have_no_item() -> None:
    name = "text_editor_code_execution"
    result = {"type": f"{name}_create_result", "is_file_update": False}
    given = {"command": "create", "path": "a.py", "file_text": "1"}
    assert shown(*blocks(name, given, name, result)) == []


@pytest.mark.parametrize("wanted", [False, True])
def test_pages_that_a_search_found_are_shown_where_they_are_asked_for(wanted: bool) -> None:
    include = {"include": ["web_search_call.action.sources"]} if wanted else {}
    turn = Turn(model=TURN.model, spans=(), passed_on=include)
    (item,) = shown(*blocks("web_search", {"query": "q"}, "web_search", PAGES), turn=turn)
    pages = [{"type": "url", "url": "https://a.org"}, {"type": "url", "url": "https://b.org"}]
    assert item["action"] == {
        "type": "search",
        "query": "q",
        **({"sources": pages} if wanted else {}),
    }
    ResponseFunctionWebSearch.model_validate({"id": "ws_1", **item}, strict=True)


def test_uploaded_documents_are_cited_by_their_ids() -> None:
    cited = {
        "type": "page_location",
        "cited_text": "Hi",
        "document_index": 1,
        "document_title": "a.pdf",
        "start_page_number": 1,
        "end_page_number": 2,
        "file_id": "file_1",
    }
    known = {"type": "text", "text": "Hi", "citations": [cited]}
    unknown = {"type": "text", "text": "Ho", "citations": [{**cited, "file_id": None}]}
    body = dumps({"content": [known, unknown], "stop_reason": "end_turn"})
    found = [d.annotation for d in ADAPTER.decode(body, TURN) if isinstance(d, AnnotationAdded)]
    assert found == [
        {"type": "file_citation", "file_id": "file_1", "filename": "a.pdf", "index": 1}
    ]


@needs_recordings
@pytest.mark.parametrize(
    "recording",
    [r for r in recorded("anthropic", status=200) if b"bash_code_execution_result" in r.body],
    ids=str,
)
def test_recorded_code_is_shown_run_by_run(recording: Any) -> None:
    response = play_recording(ADAPTER, recording.path, turn=TURN)[-1]["response"]
    runs = items(response, "code_interpreter_call")
    assert len(runs) == recording.body.count(b'"bash_code_execution_result"') > 0
    assert all(run["code"] and run["status"] == "completed" for run in runs)
