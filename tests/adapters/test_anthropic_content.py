"""How a conversation becomes messages: their order, roles, ids and parts, and native turns."""

import base64
from typing import Any

import pytest
from messages_turns import (
    PNG,
    SCOPE,
    call,
    encoded,
    file,
    image,
    message,
    messages,
    output,
    result,
    tool_use,
)

from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Span


def test_neighbours_of_one_role_are_one_message() -> None:
    assert messages(
        message("user", "a"),
        message("user", "b"),
        message("assistant", "c"),
        call("x"),
        output("x"),
    ) == [("user", ["a", "b"]), ("assistant", ["c", tool_use("x")]), ("user", [result("x")])]


def test_blank_text_is_left_out_and_its_message_with_it() -> None:
    assert messages(message("user", "a", " "), message("assistant", ""), message("user", "b")) == [
        ("user", ["a", "b"])
    ]


def test_input_that_says_nothing_is_refused() -> None:
    with pytest.raises(UnsupportedByProvider, match="says nothing"):
        encoded(message("user", " "))


def test_last_assistant_text_does_not_end_in_white_space() -> None:
    said = messages(message("user", "a"), message("assistant", "The answer is \n"))

    assert said[-1] == ("assistant", ["The answer is"])


def test_model_that_cannot_go_on_in_a_message_refuses_one_at_the_end() -> None:
    with pytest.raises(UnsupportedByProvider) as refused:
        encoded(message("user", "a"), message("assistant", "b"), model="claude-opus-4-6")
    assert refused.value.param == "input"


def test_results_come_first_in_the_message_behind_their_calls() -> None:
    said = messages(
        message("user", "go"),
        call("a"),
        call("b"),
        output("b", "B"),
        message("user", "hurry"),
        output("a", "A"),
    )

    assert said[2] == ("user", [result("b", "B"), result("a", "A"), "hurry"])


def test_late_result_goes_back_to_its_call() -> None:
    said = messages(
        message("user", "go"),
        call("a"),
        message("user", "hurry"),
        message("assistant", "soon"),
        output("a", "A"),
    )

    assert said[2] == ("user", [result("a", "A"), "hurry"])
    assert [role for role, _ in said] == ["user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ('{"at": "home"}', {"at": "home"}),
        ('{"at": "ho', {"unreadable_arguments": '{"at": "ho'}),
        ("[1]", {"unreadable_arguments": "[1]"}),
    ],
)
def test_arguments_are_an_object(arguments: str, expected: Any) -> None:
    said = messages(message("user", "go"), call("a", arguments), output("a"))

    assert said[1][1] == [tool_use("a", **expected)]


def test_foreign_call_ids_are_mapped_the_same_way_every_time() -> None:
    items = [message("user", "go"), call("call:1/x"), output("call:1/x")]

    first, second = messages(*items), messages(*items)

    assert first == second
    id = first[1][1][0]["id"]
    assert id.startswith("call_")
    assert first[2][1] == [result(id)]


def test_call_ids_that_come_twice_are_told_apart() -> None:
    """Some providers count calls from zero in each turn; the API wants them unique."""
    said = messages(
        message("user", "go"), call("c0"), output("c0", "1"), call("c0"), output("c0", "2")
    )

    assert [block for _, (block,) in said[1:]] == [
        tool_use("c0"), result("c0", "1"), tool_use("c0_2"), result("c0_2", "2"),
    ]  # fmt: skip


def test_custom_tool_calls_of_another_provider_are_kept() -> None:
    custom = {"type": "custom_tool_call", "call_id": "a", "name": "look", "input": "at me"}
    answer = {"type": "custom_tool_call_output", "call_id": "a", "output": "fine"}

    said = messages(message("user", "go"), custom, answer)

    assert said[1:] == [("assistant", [tool_use("a", input="at me")]), ("user", [result("a")])]


def test_item_that_has_no_block_is_named() -> None:
    search = {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}

    assert encoded(message("user", "Hi"), search).dropped == ("input.web_search_call",)


# --- parts


def only_block(part: dict[str, Any]) -> Any:
    return messages(message("user", part))[0][1][0]


def test_images_by_data_and_by_address() -> None:
    data = {"type": "base64", "media_type": "image/png", "data": PNG}

    assert only_block(image(f"data:image/png;base64,{PNG}")) == {"type": "image", "source": data}
    assert only_block(image("https://example.org/a.png"))["source"] == {
        "type": "url",
        "url": "https://example.org/a.png",
    }


def test_files_by_data_and_by_address() -> None:
    text = base64.b64encode("Grüße".encode()).decode()

    assert only_block(file(filename="a.pdf", file_data="JVBERi0=")) == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        "title": "a.pdf",
    }
    assert only_block(file(file_data=f"data:text/plain;charset=utf-8;base64,{text}"))["source"] == {
        "type": "text",
        "media_type": "text/plain",
        "data": "Grüße",
    }
    assert only_block(file(filename="notes", file_data=text))["source"]["data"] == "Grüße"
    assert only_block(file(file_url="https://example.org/a.pdf"))["source"]["type"] == "url"


def test_file_of_the_provider_is_named_with_its_beta() -> None:
    request = encoded(message("user", image(None, file_id="file_011C")))

    assert request.body["messages"][0]["content"][0]["source"] == {
        "type": "file",
        "file_id": "file_011C",
    }
    assert request.headers["anthropic-beta"] == "files-api-2025-04-14"


@pytest.mark.parametrize(
    "part",
    [
        image("data:image/tiff;base64,AA=="),
        image("data:image/png;AA"),
        image(None, file_id="file-openai"),
        file(filename="a.xlsx", file_data="AA=="),
        file(filename="a.txt", file_data="not base64!"),
        file(file_data="/////w=="),
        {"type": "input_audio", "input_audio": {}},
    ],
)
def test_part_that_it_cannot_take_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedByProvider) as refused:
        encoded(message("user", part))
    assert refused.value.param == "input"


def test_tool_output_may_hold_images() -> None:
    parts = [{"type": "input_text", "text": "see"}, image(f"data:image/png;base64,{PNG}")]

    said = messages(message("user", "go"), call("a"), output("a", parts))

    (block,) = said[2][1]
    assert [entry["type"] for entry in block["content"]] == ["text", "image"]


def test_detail_of_an_image_is_named() -> None:
    low = image("https://example.org/a.png", detail="low")

    request = encoded(message("user", low, low))

    assert request.dropped == ("input_image.detail",)


# --- native turns


THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


def test_native_turn_is_replayed_as_it_came() -> None:
    state = [THINKING, {"type": "text", "text": ""}, tool_use("toolu_1")]
    span = Span([call("toolu_1")], NativeTurn(SCOPE, state))

    said = messages(message("user", "go"), span, output("toolu_1"))

    assert said[1:] == [
        ("assistant", [THINKING, tool_use("toolu_1")]),
        ("user", [result("toolu_1")]),
    ]
    assert len(state) == 3


def test_native_turn_at_the_end_keeps_its_white_space() -> None:
    span = Span([], NativeTurn(SCOPE, [{"type": "text", "text": "So, \n"}]))

    assert messages(message("user", "go"), span)[-1] == ("assistant", ["So, \n"])


def test_late_result_goes_back_to_a_native_call() -> None:
    span = Span([call("toolu_1")], NativeTurn(SCOPE, [tool_use("toolu_1")]))

    said = messages(message("user", "go"), span, message("user", "hurry"), output("toolu_1"))

    assert said[-1] == ("user", [result("toolu_1"), "hurry"])


def test_native_turn_of_another_family_is_built_from_items() -> None:
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    native = NativeTurn("anthropic:claude-opus-5-0", [THINKING, tool_use("toolu_1")])
    span = Span([reasoning, call("toolu_1")], native)

    said = messages(message("user", "go"), span, output("toolu_1"))

    assert said[1] == ("assistant", [tool_use("toolu_1")])


def test_thinking_that_nothing_followed_is_left_out() -> None:
    span = Span([], NativeTurn(SCOPE, [THINKING]))

    assert messages(message("user", "a"), span, message("user", "b")) == [("user", ["a", "b"])]


def test_sealed_reasoning_stands_before_the_call_it_led_to() -> None:
    span = Span([{"type": "reasoning", "summary": []}], NativeTurn(SCOPE, [THINKING]))

    said = messages(message("user", "go"), span, call("a"), output("a"))

    assert said[1] == ("assistant", [THINKING, tool_use("a")])
