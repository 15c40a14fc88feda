"""The one form in which input items are stored."""

import json
from typing import Any

import pytest
from cases import needs_recordings
from items_sampled import (
    RESPONSE,
    SAMPLES,
    ask,
    call,
    output,
    text,
    user,
)
from openai.types.responses import ResponseItem
from published import violations
from pydantic import TypeAdapter

from responses_mw.items import normalise, stored_items
from responses_mw.schema import CreateRequest

# --- the stored form


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: str(s)[:60])
def test_a_stored_item_is_one_that_may_be_sent_again(sample: dict[str, Any]) -> None:
    [stored] = stored_items(ask(sample).items, RESPONSE)

    assert normalise(stored, "another") == stored
    assert ask(stored).items == [stored]
    assert json.loads(json.dumps(stored)) == stored


# The published document requires fields of them that it does not have.
MISPRINTED = ("local_shell_call_output", "mcp_approval_response")


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s.get("type") not in MISPRINTED], ids=lambda s: str(s)[:60]
)
@needs_recordings
def test_a_stored_item_satisfies_the_published_list_of_items(sample: dict[str, Any]) -> None:
    stored = stored_items(ask(sample).items, RESPONSE)
    page = {"object": "list", "data": stored, "has_more": False, "first_id": "", "last_id": ""}

    assert violations("oa", "ResponseItemList", page) == []
    assert violations("or", "ItemField", stored[0]) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: str(s)[:60])
def test_a_stored_item_satisfies_the_official_client(sample: dict[str, Any]) -> None:
    [stored] = stored_items(ask(sample).items, RESPONSE)

    parsed = TypeAdapter[Any](ResponseItem).validate_python(stored)

    assert parsed.type == stored["type"]
    assert parsed.id == stored["id"]


def test_text_is_stored_as_one_user_message() -> None:
    request = CreateRequest.of({"model": "m", "input": "Hi."})

    assert stored_items(request.items, RESPONSE) == [
        {
            "id": f"msg_{'0' * 32}_i0",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi."}],
        }
    ]


def test_the_text_of_an_assistant_is_stored_as_output() -> None:
    said = {"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}
    for content in ("Hi.", [text()], [{"type": "output_text", "text": "Hi."}], [said]):
        [stored] = stored_items([{"role": "assistant", "content": content}], RESPONSE)
        assert stored["content"] == [said]


def test_ids_are_ours_unless_the_client_gave_one() -> None:
    given = [
        {"role": "user", "content": "Hi."},
        user(text(), id="msg_theirs"),
        call(id=None),
        output(id=""),
    ]

    stored = stored_items(ask(*given).items, RESPONSE)

    assert [item["id"] for item in stored] == [
        f"msg_{'0' * 32}_i0",
        "msg_theirs",
        f"fc_{'0' * 32}_i2",
        f"fco_{'0' * 32}_i3",
    ]


def test_an_id_that_a_client_gives_twice_is_replaced() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}

    stored = stored_items(ask(thought, thought).items, RESPONSE)

    assert [item["id"] for item in stored] == ["rs_1", f"rs_{'0' * 32}_i1"]


def test_fields_that_nobody_knows_are_kept() -> None:
    [stored] = stored_items(ask(user(text(cache=True), vendor={"a": 1})).items, RESPONSE)

    assert stored["vendor"] == {"a": 1}
    assert stored["content"][0]["cache"] is True
