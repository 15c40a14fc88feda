"""How a conversation becomes Gemini's contents."""

from typing import Any

import pytest
from gemini_turns import (
    GEMINI,
    NEW,
    OLD,
    PNG,
    VERTEX,
    call,
    contents,
    encoded,
    file,
    image,
    message,
    model_call,
    output,
    result,
    turn,
)

from responses_mw.adapters.gemini_contents import SKIP_SIGNATURE
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Item, Span

USER = message("user", "go")
PICTURE = {"inlineData": {"mimeType": "image/png", "data": PNG}}


def native(*parts: Any, items: list[Item] | None = None, model: str = OLD) -> Span:
    return Span(items or [], NativeTurn(f"gemini:{model}", list(parts)))


def test_leading_instructions_are_the_system_instruction() -> None:
    body = encoded(message("developer", "Be kind."), USER, instructions="Be brief.").body
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}


def test_later_instructions_stay_in_their_place() -> None:
    assert contents(USER, message("system", "Stop."))[1:] == [
        ("user", ["<system>\nStop.\n</system>"])
    ]


def test_instructions_alone_are_said_by_the_user() -> None:
    body = encoded(message("system", "Stop."), instructions="Go.").body
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Stop."}]}]
    assert body["systemInstruction"] == {"parts": [{"text": "Go."}]}


def test_input_that_says_nothing_is_refused() -> None:
    with pytest.raises(UnsupportedByProvider, match="says nothing") as refused:
        encoded(message("user", ""))
    assert refused.value.param == "input"


# --- calls and results


def test_results_follow_their_calls_in_the_order_of_the_calls() -> None:
    found = contents(
        USER, call("a"), call("b"), message("user", "hurry"), output("b", "2"), output("a", "1")
    )
    assert found == [
        ("user", ["go"]),
        ("model", [model_call("a"), model_call("b")]),
        ("user", [result("a", {"result": "1"}), result("b", {"result": "2"})]),
        ("user", ["hurry"]),
    ]


def test_steps_of_a_loop_are_contents_of_their_own() -> None:
    found = contents(
        USER, call("a"), output("a"), message("assistant", "Hm."), call("b"), output("b")
    )
    assert [role for role, _ in found] == ["user", "model", "user", "model", "user"]
    assert found[3] == ("model", ["Hm.", model_call("b")])


def test_output_of_no_call_is_refused() -> None:
    with pytest.raises(UnsupportedByProvider, match="no call 'a' stands before"):
        encoded(USER, output("a"))


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ("", {}),
        ('{"at": 1}', {"at": 1}),
        ("[1]", {"unreadable_arguments": "[1]"}),
        ("{", {"unreadable_arguments": "{"}),
    ],
)
def test_arguments_are_an_object(arguments: str, args: dict[str, Any]) -> None:
    assert contents(USER, call("a", arguments))[1] == ("model", [model_call("a", **args)])


def test_calls_of_another_model_have_the_signature_that_skips_the_check() -> None:
    """Once per step: parallel calls carry one signature. Models before 3 do not ask for any."""
    items = (USER, call("a"), call("b"), output("a"), output("b"), call("c"), output("c"))
    calls = [parts for role, parts in contents(*items, model=NEW) if role == "model"]
    assert calls == [
        [model_call("a", signature=SKIP_SIGNATURE), model_call("b")],
        [model_call("c", signature=SKIP_SIGNATURE)],
    ]
    assert SKIP_SIGNATURE not in str(contents(*items))


# --- native turns


def test_native_turn_is_replayed_as_it_came_and_results_go_to_its_ids() -> None:
    parts = [
        {"text": "Hm.", "thought": True},
        {"text": "So."},
        {"text": "", "thoughtSignature": "c2ln"},
        model_call(at="home", signature="c2ln"),
        model_call("x", at="away"),
    ]
    span = native(*parts, items=[call("call_1"), call("call_2")])
    found = contents(USER, span, output("call_2", "2"), output("call_1", "1"))
    assert found[1] == ("model", ["So." if p == {"text": "So."} else p for p in parts])
    assert found[2] == ("user", [result(None, {"result": "1"}), result("x", {"result": "2"})])


def test_native_turn_of_another_place_or_model_is_built_from_its_items() -> None:
    said = message("assistant", "So.")
    span = native({"text": "So.", "thoughtSignature": "c2ln"}, items=[said])
    assert contents(USER, span)[1] == ("model", [{"text": "So.", "thoughtSignature": "c2ln"}])
    assert contents(USER, span, model="gemini-2.5-pro")[1] == ("model", ["So."])
    assert contents(USER, span, on=VERTEX)[1] == ("model", ["So."])


def test_reasoning_of_others_is_left_out_without_a_word() -> None:
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    request = encoded(USER, reasoning)
    assert len(request.body["contents"]) == 1
    assert request.dropped == ()


def test_scope_names_the_place_and_the_model() -> None:
    assert GEMINI.scope(turn(model="models/gemini-3-pro")) == "gemini:gemini-3-pro"
    assert VERTEX.scope(turn(model="gemini-3-pro")) == "vertex_ai:gemini-3-pro"


def test_nothing_that_came_in_is_modified() -> None:
    state = [model_call(at="home")]
    span = native(*state, items=[call("call_1")])
    contents(USER, span, call("b"), output("call_1"), output("b"), model=OLD)
    assert span.native is not None
    assert span.native.state == [model_call(at="home")]


# --- media


def at(uri: str, media_type: str | None = None) -> dict[str, Any]:
    typed = {} if media_type is None else {"mimeType": media_type}
    return {"fileData": {"fileUri": uri, **typed}}


FILES = "https://generativelanguage.googleapis.com/v1beta/files/abc"
PDF = {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (image(f"data:image/png;base64,{PNG}"), PICTURE),
        (image("https://example.org/a.JPG?x=1"), at("https://example.org/a.JPG?x=1", "image/jpeg")),
        (image("https://example.org/a"), at("https://example.org/a")),
        (image(None, file_id="files/abc"), at(FILES)),
        (image(None, file_id=FILES), at(FILES)),
        (file(file_id="gs://b/a.pdf"), at("gs://b/a.pdf", "application/pdf")),
        (file(file_data="JVBERi0=", filename="a.txt"), PDF),
        (file(file_data="data:application/pdf;base64,JVBERi0="), PDF),
        (
            file(file_url="https://e.org/get", filename="a.pdf"),
            at("https://e.org/get", "application/pdf"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "aGk="}},
        ),
    ],
)
def test_media_are_sent(part: Any, expected: Any) -> None:
    assert contents(message("user", part)) == [("user", [expected])]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (message("user", image(None, file_id="file-123")), "not a file of Google's"),
        (message("system", image("https://example.org/a.png")), "in a system message"),
        (message("user", {"type": "input_hologram"}), "'input_hologram'"),
    ],
)
def test_parts_that_cannot_be_sent_are_refused(item: Item, said: str) -> None:
    with pytest.raises(UnsupportedByProvider, match=said) as refused:
        encoded(item)
    assert refused.value.param == "input"


def test_detail_and_unknown_items_are_left_out_visibly() -> None:
    request = encoded(
        message("user", image("https://example.org/a.png", detail="high")),
        {"type": "web_search_call", "action": {}},
    )
    assert request.dropped == ("input_image.detail", "input.web_search_call")


MIXED = [
    {"type": "input_text", "text": "see"},
    image(f"data:image/png;base64,{PNG}"),
    {"type": "input_video", "video_url": "https://example.org/a.mp4"},
]
VIDEO = at("https://example.org/a.mp4", "video/mp4")


def test_media_of_a_result_stand_in_it_where_the_model_reads_them_there() -> None:
    found = contents(USER, call("a"), output("a", MIXED), model=NEW)
    assert found[2:] == [
        ("user", [result("a", {"result": "see"}, parts=[PICTURE])]),
        ("user", ["Attached to the output of call a:", VIDEO]),
    ]


def test_media_of_a_result_follow_it_elsewhere() -> None:
    found = contents(USER, call("a"), output("a", MIXED[1:]), message("user", "Well?"))
    attached = {"result": "The output is attached to the next message."}
    assert found[2:] == [
        ("user", [result("a", attached)]),
        ("user", ["Attached to the output of call a:", PICTURE, VIDEO]),
        ("user", ["Well?"]),
    ]


def test_result_of_media_alone_is_an_empty_object_beside_them() -> None:
    found = contents(USER, call("a"), output("a", MIXED[1:2]), model=NEW)
    assert found[2] == ("user", [result("a", {}, parts=[PICTURE])])
