"""Which input items are taken and which are refused."""

from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from items_sampled import (
    MISSING,
    PNG,
    SAMPLES,
    TYPE,
    VALUE,
    ask,
    assistant,
    call,
    output,
    refusal,
    text,
    user,
)
from openai.types.responses import ResponseInputItemParam

from responses_mw import items, later
from responses_mw.errors import InvalidRequest


def test_there_is_a_sample_of_every_type() -> None:
    """A reference is none: what it refers to is stored and listed in its place. Nor is a trigger,
    which is neither."""
    sampled = {items.type_of(sample) for sample in SAMPLES}
    assert sampled == set(items.SHAPES) - {"item_reference", "compaction_trigger"}


def test_a_reference_needs_no_type() -> None:
    ask({"id": "msg_1"}, {"type": "item_reference", "id": "msg_2"})


def test_every_item_of_the_official_client_is_known() -> None:
    known = {kind for item in get_args(ResponseInputItemParam) for kind in _types(item)}

    assert len(known) == 31
    assert known == {*items.SHAPES, *later.ITEM_TYPES}


def _types(typed_dict: Any) -> set[str]:
    hint = get_type_hints(typed_dict)["type"]
    options = [hint, *get_args(hint)]
    return {name for option in options for name in get_args(option) if isinstance(name, str)} | {
        name for name in get_args(hint) if isinstance(name, str)
    }


def _required_of(kind: str) -> set[str]:
    """What the official client's type must have, ours to fill in where it can."""
    forms = [
        item
        for item in get_args(ResponseInputItemParam)
        if kind in _types(item) and kind != "message"
    ]
    return set.union(*(set(form.__required_keys__) for form in forms)) - {"id", "type", "status"}


FILLED_IN = {("computer_call", "pending_safety_checks"), ("image_generation_call", "result")} | {
    ("code_interpreter_call", name) for name in ("code", "outputs")
}
LEFT_OUT = {("web_search_call", "action")}
"""By upstreams whose output has to be re-sendable."""


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if s.get("type", "message") != "message"], ids=lambda s: s["type"]
)
def test_an_item_without_a_required_field_is_refused(sample: dict[str, Any]) -> None:
    kind = sample["type"]
    for name in _required_of(kind):
        if (kind, name) in FILLED_IN | LEFT_OUT:
            continue
        error = refusal({key: value for key, value in sample.items() if key != name})
        assert (error.param, error.code) == (f"input[0].{name}", MISSING)


def test_a_search_as_xai_tells_it_can_be_sent_back() -> None:
    searched = {"type": "web_search_call", "id": "fc_1", "name": "web_search", "arguments": "{}"}
    ask({**searched, "call_id": "", "status": "completed"})


def image(**fields: Any) -> dict[str, Any]:
    return user({"type": "input_image", **fields})


def file(**fields: Any) -> dict[str, Any]:
    return user({"type": "input_file", **fields})


WRONG: list[tuple[Any, str, str]] = [
    ("Hi.", "", TYPE),
    (None, "", TYPE),
    ({}, ".type", MISSING),
    ({"text": "Hi."}, ".type", MISSING),
    ({"type": 1}, ".type", TYPE),
    ({"type": ["message"]}, ".type", TYPE),
    ({"type": "no_such_item"}, ".type", VALUE),
    ({"type": "message", "content": "Hi."}, ".role", MISSING),
    ({"content": "Hi."}, ".role", MISSING),
    ({"role": "robot", "content": "Hi."}, ".role", VALUE),
    ({"role": ["user"], "content": "Hi."}, ".role", TYPE),
    ({"type": "web_search_call", "call_id": ["c"]}, ".call_id", TYPE),
    (
        {
            "type": "mcp_call",
            "server_label": "s",
            "name": "n",
            "arguments": "{}",
            "approval_request_id": {},
        },
        ".approval_request_id",
        TYPE,
    ),
    ({"role": "user"}, ".content", MISSING),
    ({"role": "user", "content": None}, ".content", MISSING),
    ({"role": "user", "content": 5}, ".content", TYPE),
    ({"role": "user", "content": text()}, ".content", TYPE),
    ({"role": "user", "content": "x" * (10 * 1024 * 1024 + 1)}, ".content", VALUE),
    (user("Hi."), ".content[0]", TYPE),
    (user({}), ".content[0].type", MISSING),
    (user({"type": None}), ".content[0].type", MISSING),
    (user({"type": {}}), ".content[0].type", TYPE),
    (user({"type": "no_such_part"}), ".content[0].type", VALUE),
    (user(text(), {"type": "input_text"}), ".content[1].text", MISSING),
    (user(text(), {"type": "input_text", "text": 5}), ".content[1].text", TYPE),
    (user({"type": "output_text", "text": "Hi."}), ".content[0].type", VALUE),
    (user({"type": "summary_text", "text": "Hi."}), ".content[0].type", VALUE),
    (user(text("x" * (10 * 1024 * 1024 + 1))), ".content[0].text", VALUE),
    (user(text(), id=1), ".id", TYPE),
    (user(text(), status="done"), ".status", VALUE),
    (assistant({"type": "output_text"}), ".content[0].text", MISSING),
    (assistant({"type": "refusal"}), ".content[0].refusal", MISSING),
    (assistant({"type": "input_image", "image_url": PNG}), ".content[0].type", VALUE),
    (assistant(phase="thinking"), ".phase", VALUE),
    (
        assistant({"type": "output_text", "text": "", "annotations": {}}),
        ".content[0].annotations",
        TYPE,
    ),
    (
        assistant({"type": "output_text", "text": "", "annotations": [{}]}),
        ".content[0].annotations[0].type",
        MISSING,
    ),
    (
        assistant({"type": "output_text", "text": "", "annotations": ["url"]}),
        ".content[0].annotations[0]",
        TYPE,
    ),
    (image(), ".content[0].image_url", MISSING),
    (image(image_url=None, file_id=None), ".content[0].image_url", MISSING),
    (image(image_url=PNG, file_id="file_1"), ".content[0].file_id", VALUE),
    (image(image_url="not a url"), ".content[0].image_url", VALUE),
    (image(image_url=""), ".content[0].image_url", VALUE),
    (image(image_url="ftp://example.com/a.png"), ".content[0].image_url", VALUE),
    (image(image_url="https://"), ".content[0].image_url", VALUE),
    (image(image_url="file:///etc/passwd"), ".content[0].image_url", VALUE),
    (image(image_url="data:image/png,x"), ".content[0].image_url", VALUE),
    (image(image_url="data:image/png;base64,"), ".content[0].image_url", VALUE),
    (image(image_url="data:text/html;base64,eA=="), ".content[0].image_url", VALUE),
    (image(image_url={"url": PNG}), ".content[0].image_url", TYPE),
    (image(image_url=PNG, detail="extreme"), ".content[0].detail", VALUE),
    (file(), ".content[0].file_data", MISSING),
    (file(filename="a.pdf"), ".content[0].file_data", MISSING),
    (file(file_url="a.pdf"), ".content[0].file_url", VALUE),
    (file(file_id="f", file_url="https://x/y"), ".content[0].file_id", VALUE),
    (file(file_data="eA==", filename=1), ".content[0].filename", TYPE),
    (user({"type": "input_audio"}), ".content[0].input_audio", MISSING),
    (
        user({"type": "input_audio", "input_audio": {"data": "eA==", "format": "ogg"}}),
        ".content[0].input_audio.format",
        VALUE,
    ),
    (call(call_id=""), ".call_id", VALUE),
    (call(call_id="x" * 65), ".call_id", VALUE),
    (call(call_id=1), ".call_id", TYPE),
    (call(name=""), ".name", VALUE),
    (call(arguments={}), ".arguments", TYPE),
    (call(status="done"), ".status", VALUE),
    (output(output=18), ".output", TYPE),
    (output(output={"temperature": 18}), ".output", TYPE),
    (output(output=None), ".output", MISSING),
    (output(output=["18"]), ".output[0]", TYPE),
    (output(output=[{"type": "output_text", "text": "18"}]), ".output[0].type", VALUE),
    (output(output=[{"type": "input_image"}]), ".output[0].image_url", MISSING),
    ({"type": "reasoning", "summary": "So."}, ".summary", TYPE),
    ({"type": "reasoning", "summary": [text()]}, ".summary[0].type", VALUE),
    ({"type": "reasoning", "summary": [], "content": [text()]}, ".content[0].type", VALUE),
    ({"type": "reasoning", "summary": [], "encrypted_content": {}}, ".encrypted_content", TYPE),
    (
        {"type": "mcp_approval_response", "approval_request_id": "x", "approve": "yes"},
        ".approve",
        TYPE,
    ),
    (
        {"type": "apply_patch_call_output", "call_id": "c", "status": "in_progress"},
        ".status",
        VALUE,
    ),
]


@pytest.mark.parametrize(("item", "place", "code"), WRONG, ids=lambda v: str(v)[:60])
def test_a_wrong_item_is_named_by_its_path(item: Any, place: str, code: str) -> None:
    error = refusal({"role": "user", "content": "Hi."}, item)

    assert (error.status, error.param, error.code) == (400, "input[1]" + place, code)


@pytest.mark.parametrize(
    "item",
    [{"type": kind, "id": "x"} for kind in later.ITEM_TYPES],
    ids=lambda item: item["type"],
)
def test_items_that_are_not_built_yet_are_refused_by_name(item: dict[str, Any]) -> None:
    error = refusal(item)

    assert (error.param, error.code) == ("input[0]", "unsupported_parameter")
    assert item["type"] in error.message


def test_two_calls_or_two_outputs_of_one_call_id_are_refused() -> None:
    ask(call(), output())

    assert refusal(call(), call()).param == "input[1].call_id"
    assert refusal(call(), output(), output()).param == "input[2].call_id"
    custom = {"type": "custom_tool_call", "call_id": "call_1", "name": "run", "input": ""}
    assert refusal(call(), custom).param == "input[1].call_id"


def test_a_call_id_may_come_again_once_its_call_was_answered() -> None:
    """Some providers count calls from zero in each turn, and clients send all turns back."""
    ask(call(), output(), call(), output(), call(), output())

    assert refusal(call(), output(), call(), call()).param == "input[3].call_id"
    assert refusal(call(), output(), call(), output(), output()).param == "input[4].call_id"


def test_nesting_too_deep_to_be_stored_names_the_item() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]

    error = refusal(call(), user(text(extra=deep)))

    assert error.param == "input[1]"


MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "function_call", None, 1]),
        "role": st.sampled_from(["user", "assistant", "robot", None, ["user"]]),
        "content": st.one_of(
            st.sampled_from(["Hi.", "", None, 5, {}]),
            st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "type": st.sampled_from(["input_text", "output_text", "refusal", None]),
                        "text": st.sampled_from(["Hi.", None, 5]),
                    },
                ),
                max_size=2,
            ),
        ),
    },
)


@settings(max_examples=500, deadline=None)
@given(MESSAGES)
def test_the_short_way_for_plain_messages_changes_no_verdict(message: dict[str, Any]) -> None:
    def verdict(item: dict[str, Any]) -> Any:
        try:
            return [len(ask(item).items)]
        except InvalidRequest as error:
            return error.param, error.code, error.message

    assert verdict(message) == verdict({**message, "x": "so that it is not plain"})
