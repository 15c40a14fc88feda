"""How a conversation becomes Converse messages, and what each family wants of their order."""

import base64
from typing import Any

import pytest
from bedrock_turns import (
    CLAUDE,
    LLAMA,
    MISTRAL,
    NOVA,
    PNG,
    SCOPE,
    body,
    call,
    document,
    encoded,
    file,
    function,
    image,
    message,
    messages,
    output,
    picture,
    result,
    turn,
    use,
)

from responses_mw.adapters.bedrock import BedrockConverse
from responses_mw.adapters.bedrock_content import ACKNOWLEDGED, ATTACHED, BEGINNING, NO_OUTPUT
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Span

PDF = "JVBERi0="
TXT = base64.b64encode(b"hello").decode()
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}


def data_url(data: str = PNG, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{data}"


# --- roles


def test_neighbours_of_one_role_are_one_message() -> None:
    assert messages(message("user", "a"), message("user", "b"), message("assistant", "c")) == [
        ("user", ["a", "b"]),
        ("assistant", ["c"]),
    ]


def test_leading_system_messages_join_the_instructions_and_later_ones_are_wrapped() -> None:
    items = [message("developer", "Be kind."), message("user", "Hi"), message("system", "Stop.")]
    said = body(*items, instructions="Be brief.")
    assert said["system"] == [{"text": "Be brief."}, {"text": "Be kind."}]
    assert messages(*items) == [("user", ["Hi", "<system>\nStop.\n</system>"])]


def test_a_system_prompt_alone_is_asked_as_a_message() -> None:
    said = body(message("system", "Greet me."))
    assert "system" not in said
    assert said["messages"][0]["content"] == [{"text": "<system>\nGreet me.\n</system>"}]


def test_a_model_without_system_prompts_is_told_in_the_first_message() -> None:
    said = body(message("user", "Hi"), instructions="Be brief.", model="amazon.titan-text-lite-v1")
    assert "system" not in said
    assert [block["text"] for block in said["messages"][0]["content"]] == [
        "<system>\nBe brief.\n</system>",
        "Hi",
    ]


@pytest.mark.parametrize(
    ("model", "first"),
    [(CLAUDE, "assistant"), ("qwen.qwen3-32b-v1:0", "assistant"), (NOVA, "user"), (LLAMA, "user")],
)
def test_conversation_begins_with_the_user_where_it_must(model: str, first: str) -> None:
    said = messages(message("assistant", "I began."), message("user", "Hi"), model=model)
    assert said[0][0] == first
    if first == "user":
        assert said[0][1] == [BEGINNING]


def test_blank_texts_and_messages_that_say_nothing_are_left_out() -> None:
    items = [message("user", "a"), message("assistant", " \n"), message("user", "b", "")]
    assert messages(*items) == [("user", ["a", "b"])]


def test_the_end_of_a_prefill_has_no_trailing_space() -> None:
    assert messages(message("user", "a"), message("assistant", "The answer: "))[-1] == (
        "assistant",
        ["The answer:"],
    )


def test_input_that_says_nothing_is_refused() -> None:
    with pytest.raises(UnsupportedByProvider, match="says nothing"):
        encoded(message("user", ""))


def test_newer_claudes_take_no_prefill() -> None:
    items = [message("user", "a"), message("assistant", "b")]
    with pytest.raises(UnsupportedByProvider, match="cannot go on"):
        encoded(*items, model="us.anthropic.claude-opus-4-6-v1")


# --- calls and results


def test_results_stand_first_in_the_message_behind_their_calls() -> None:
    items = [
        message("user", "go"),
        message("assistant", "Looking."),
        call("a", '{"at": "home"}'),
        call("b"),
        message("user", "and?"),
        output("b", "bee"),
        output("a"),
    ]
    assert messages(*items) == [
        ("user", ["go"]),
        ("assistant", ["Looking.", use("a", at="home"), use("b")]),
        ("user", [result("b", "bee"), result("a"), "and?"]),
    ]


def test_arguments_that_are_no_object_are_wrapped() -> None:
    said = messages(message("user", "go"), call("a", "broken"), output("a"))
    assert said[1][1] == [use("a", unreadable_arguments="broken")]


def test_ids_and_names_that_bedrock_cannot_take_are_made_anew_and_alike() -> None:
    items = [message("user", "go"), call("a:b c", name="odd name!"), output("a:b c")]
    (_, (made,)), (_, (answer,)) = messages(*items)[1:]
    assert made["toolUse"]["name"] == "odd_name_"
    assert made["toolUse"]["toolUseId"].startswith("call_")
    assert answer["toolResult"]["toolUseId"] == made["toolUse"]["toolUseId"]
    assert messages(*items) == messages(*items)


def test_one_id_used_twice_becomes_two() -> None:
    items = [message("user", "go"), call("a"), output("a", "1"), call("a"), output("a", "2")]
    said = messages(*items)
    assert said[3][1] == [use("a_2")]
    assert said[4][1] == [result("a_2", "2")]


def test_an_empty_result_says_so() -> None:
    assert messages(message("user", "go"), call("a"), output("a", ""))[2][1] == [
        result("a", NO_OUTPUT)
    ]


def test_pictures_stay_inside_a_result_where_the_family_takes_them() -> None:
    parts = [{"type": "input_text", "text": "see"}, image(data_url())]
    items = [message("user", "go"), call("a"), output("a", parts)]
    assert messages(*items)[2][1] == [result("a", "see", picture())]
    assert messages(*items, model="cohere.command-r-v1:0")[2][1] == [result("a", "see"), picture()]


def test_a_result_of_nothing_but_pictures_points_at_them() -> None:
    items = [message("user", "go"), call("a"), output("a", [image(data_url())])]
    said = messages(*items, model=LLAMA)
    assert said[2:] == [
        ("user", [result("a", ATTACHED)]),
        ("assistant", [ACKNOWLEDGED]),
        ("user", [picture()]),
    ]


def test_llama_gets_results_and_words_in_two_messages() -> None:
    items = [message("user", "go"), call("a"), output("a"), message("user", "and?")]
    assert messages(*items, model=LLAMA)[2:] == [
        ("user", [result("a")]),
        ("assistant", [ACKNOWLEDGED]),
        ("user", ["and?"]),
    ]
    assert messages(*items)[2:] == [("user", [result("a"), "and?"])]


def test_claude_gets_documents_behind_results_in_a_message_of_their_own() -> None:
    later = message("user", "and?", file(filename="a.pdf", file_data=PDF))
    items = [message("user", "go"), call("a"), output("a"), later]
    assert messages(*items)[2:] == [
        ("user", [result("a")]),
        ("assistant", [ACKNOWLEDGED]),
        ("user", ["and?", document("a", PDF)]),
    ]
    assert messages(*items, model=NOVA)[2:] == [("user", [result("a"), "and?", document("a", PDF)])]


def test_mistral_gets_results_as_objects() -> None:
    items = [message("user", "go"), call("a"), call("b"), output("a", '{"x": 1}'), output("b", "2")]
    assert messages(*items, model=MISTRAL)[2][1] == [
        result("a", {"json": {"x": 1}}),
        result("b", {"json": {"result": "2"}}),
    ]


def test_items_of_hosted_tools_are_left_out_and_named() -> None:
    search = {"type": "web_search_call", "action": {"type": "search", "query": "x"}}
    request = encoded(message("user", "a"), search, message("user", "b"))
    assert request.dropped == ("input.web_search_call",)
    with pytest.raises(UnsupportedByProvider) as caught:
        encoded(search, message("user", "b"), strict=True)
    assert caught.value.param == "input.web_search_call"


# --- the native turn


def test_native_turn_goes_back_unmodified() -> None:
    blocks = [THOUGHT, {"text": ""}, {"text": "So. "}, use("t_1")]
    span = Span([message("assistant", "So."), call("t_1")], NativeTurn(SCOPE, blocks))
    said = messages(message("user", "go"), span, output("t_1"))
    assert said[1:] == [("assistant", [THOUGHT, "So. ", use("t_1")]), ("user", [result("t_1")])]


def test_native_turn_of_another_scope_is_built_from_its_items() -> None:
    span = Span([call("t_1")], NativeTurn("anthropic:claude-sonnet-4-5", [{"type": "thinking"}]))
    assert messages(message("user", "go"), span, output("t_1"))[1] == ("assistant", [use("t_1")])


def test_reasoning_that_a_client_sent_back_leads_its_message() -> None:
    reasoning = Span([{"type": "reasoning", "summary": []}], NativeTurn(SCOPE, [THOUGHT]))
    items = [message("user", "go"), reasoning, call("a"), output("a")]
    assert messages(*items)[1] == ("assistant", [THOUGHT, use("a")])


def test_reasoning_of_others_and_reasoning_without_a_message_is_left_out() -> None:
    foreign = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    alone = Span([foreign], NativeTurn(SCOPE, [THOUGHT]))
    said = messages(message("user", "a"), foreign, alone, message("user", "b"))
    assert said == [("user", ["a", "b"])]


def test_bound_thinking_goes_back_only_under_the_same_instructions_and_tools() -> None:
    adapter, model = BedrockConverse(cache=None), "us.anthropic.claude-opus-5-5"
    asked = turn(model=model, instructions="A")
    native = NativeTurn(adapter.scope(asked), [THOUGHT, {"text": "So."}])
    span = Span([message("assistant", "So.")], native)

    def replayed(**options: Any) -> Any:
        later = turn(message("user", "a"), span, message("user", "b"), model=model, **options)
        return adapter.encode(later).body["messages"][1]["content"]

    assert replayed(instructions="A") == [THOUGHT, {"text": "So."}]
    assert replayed(instructions="B") == [{"text": "So."}]
    assert replayed(instructions="A", tools=[function()]) == [{"text": "So."}]


def test_scope_is_the_family_whatever_the_region() -> None:
    adapter = BedrockConverse()
    for model in (
        CLAUDE,
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        f"arn:aws:x/eu.{CLAUDE[3:]}",
    ):
        assert adapter.scope(turn(model=model)) == SCOPE
    assert adapter.scope(turn(model=NOVA)) == "bedrock:amazon.nova-pro-v1:0"
    named = BedrockConverse(base_model=CLAUDE)
    assert named.scope(turn(model="arn:aws:bedrock:x:1:application-inference-profile/a")) == SCOPE


# --- images, documents, sound


def test_media_become_blocks_with_their_bytes() -> None:
    said = messages(
        message(
            "user",
            "See",
            image(data_url()),
            file(filename="scan.png", file_data=PNG),
            file(filename="a.b.pdf", file_data=PDF),
            file(filename="t.md", file_data=TXT),
            file(filename="t.docx", file_data=TXT),
            file(file_data=data_url(TXT, "video/quicktime")),
            file(file_data=data_url(TXT, "text/x-python")),
            {"type": "input_audio", "input_audio": {"format": "wav", "data": TXT}},
        )
    )
    assert said[0][1] == [
        "See",
        picture(),
        picture(),
        document("a", PDF),
        document("t", TXT, "md"),
        document("t 2", TXT, "docx"),
        {"video": {"format": "mov", "source": {"bytes": TXT}}},
        document("document", TXT, "txt"),
        {"audio": {"format": "wav", "source": {"bytes": TXT}}},
    ]


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("../secret/plan.pdf", "plan"),
        ("Größe_der  Welt.pdf", "Gr e der Welt"),
        ("a (1) [b]-c.pdf", "a (1) [b]-c"),
        ("???.pdf", "document"),
        ("x" * 300 + ".pdf", "x" * 180),
    ],
)
def test_names_of_documents_hold_only_what_bedrock_takes(filename: str, name: str) -> None:
    said = messages(message("user", "See", file(filename=filename, file_data=PDF)))
    assert said[0][1][1] == document(name, PDF)


def test_a_document_has_words_beside_it() -> None:
    assert messages(message("user", file(filename="a.pdf", file_data=PDF)))[0][1] == [
        document("a", PDF),
        ATTACHED,
    ]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (image("https://example.org/a.png"), "fetches no image"),
        (image(None, file_id="file_1"), "not a file that Bedrock knows"),
        (image(data_url(TXT, "image/tiff")), "of type 'image/tiff'"),
        (file(file_url="https://example.org/a.pdf"), "fetches no file"),
        (file(file_id="file_1"), "not a file that Bedrock knows"),
        (file(file_data=data_url(TXT, "application/zip")), "of type 'application/zip'"),
        ({"type": "input_video", "video_url": "https://example.org/a.mp4"}, "'input_video' part"),
    ],
)
def test_media_that_bedrock_cannot_get_are_refused(part: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedByProvider, match=why) as caught:
        encoded(message("user", part))
    assert caught.value.param == "input"


def test_the_detail_of_an_image_is_left_out_and_named() -> None:
    assert encoded(message("user", image(data_url(), detail="high"))).dropped == (
        "input_image.detail",
    )
