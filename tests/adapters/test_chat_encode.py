"""Turns as chat completions requests: the conversation, in every dialect."""

import pytest
from chat_turns import (
    DEEPSEEK,
    GENERIC,
    MISTRAL,
    OPENAI,
    PDF,
    PIXEL,
    call,
    image,
    message,
    messages,
    output,
    part,
    thought,
    turn,
    user,
    wire_call,
)

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import DIALECTS
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Span, Turn

# --- messages


def test_a_conversation_becomes_messages_in_order():
    assert messages(
        OPENAI,
        message("user", "Hi"),
        message("assistant", "Hello"),
        message("user", "Bye"),
        instructions="Be brief.",
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]


def test_system_messages_stay_where_they_are():
    items = [message("system", "A"), message("user", "Hi"), message("developer", "B", "C")]
    assert [found["role"] for found in messages(OPENAI, *items)] == ["system", "user", "developer"]
    assert messages(GENERIC, *items)[2] == {"role": "system", "content": "B\n\nC"}


def test_where_only_the_beginning_may_be_system_later_words_are_the_users():
    items = [message("system", "A"), message("user", "Hi"), message("developer", "B")]
    assert messages(MISTRAL, *items, instructions="I") == [
        {"role": "system", "content": "I\n\nA"},
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "<system>\nB\n</system>"},
    ]


def test_several_texts_are_parts_or_one_text():
    item = message("user", "a", "b")
    assert messages(OPENAI, item)[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert messages(DEEPSEEK, item)[0]["content"] == "a\nb"


def test_images_keep_their_place_and_detail():
    item = user(part("see"), image(), image(detail="low"), part("?"))
    assert messages(OPENAI, item)[0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "text", "text": "?"},
    ]


def test_a_detail_that_chat_does_not_know_is_lowered_and_said_so():
    request = OPENAI.encode(turn(user(image(detail="original"))))
    assert request.body["messages"][0]["content"][0]["image_url"]["detail"] == "high"
    assert request.dropped == ("input_image.detail",)


def test_files_go_in_the_form_the_dialect_has():
    file = {"type": "input_file", "file_data": PDF, "filename": "a.pdf"}
    assert messages(OPENAI, user(file))[0]["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}
    ]
    assert messages(MISTRAL, user(file))[0]["content"] == [
        {"type": "document_url", "document_url": PDF, "document_name": "a.pdf"}
    ]
    link = {"type": "input_file", "file_url": "https://a.example/a.pdf"}
    assert messages(MISTRAL, user(link))[0]["content"][0]["document_url"] == link["file_url"]
    with pytest.raises(UnsupportedByProvider, match="file_url"):
        OPENAI.encode(turn(user(link)))
    with pytest.raises(UnsupportedByProvider, match="input_file"):
        GENERIC.encode(turn(user(file)))


@pytest.mark.parametrize(
    "item",
    [
        user({"type": "input_image", "file_id": "file-1", "image_url": None}),
        user({"type": "input_file", "file_id": "file-1"}),
    ],
)
def test_a_file_id_is_refused_with_the_reason(item):
    with pytest.raises(UnsupportedByProvider, match="file_id") as caught:
        OPENAI.encode(turn(item))
    assert caught.value.param == "input"
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("item", "named"),
    [
        (user({"type": "input_smell"}), "input_smell"),
        (user({"type": "input_audio"}), "input_audio"),
        ({**message("assistant"), "content": [{"type": "hologram"}]}, "hologram"),
        ({**message("system"), "content": [image()]}, "input_image"),
        ({**message("tool"), "content": []}, "tool"),
        (output(output=[{"type": "hologram"}]), "hologram"),
    ],
)
def test_what_chat_has_no_words_for_is_refused_by_name(item, named):
    with pytest.raises(UnsupportedByProvider, match=named) as caught:
        OPENAI.encode(turn(item))
    assert caught.value.param == "input"


def test_a_refusal_goes_back_in_its_field_or_as_words():
    item = {**message("assistant"), "content": [{"type": "refusal", "refusal": "No."}]}
    assert messages(OPENAI, item) == [{"role": "assistant", "content": None, "refusal": "No."}]
    assert messages(GENERIC, item) == [{"role": "assistant", "content": "No."}]


# --- tool calls in the conversation


def test_words_and_calls_of_one_step_are_one_message():
    items = [
        message("user", "Go"),
        message("assistant", "Looking."),
        call("call_1"),
        call("call_2", "find", ""),
        output("call_1", "x"),
        output("call_2", "y"),
        message("assistant", "Done."),
    ]
    assert messages(GENERIC, *items)[1:] == [
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [wire_call("call_1"), wire_call("call_2", "find", "{}")],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "x"},
        {"role": "tool", "tool_call_id": "call_2", "content": "y"},
        {"role": "assistant", "content": "Done."},
    ]


def test_words_after_a_call_do_not_part_it_from_its_output():
    items = [message("assistant", "a"), call(), message("assistant", "b"), output()]
    assert messages(GENERIC, *items) == [
        {"role": "assistant", "content": "a\n\nb", "tool_calls": [wire_call()]},
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
    ]


def test_outputs_follow_their_calls_whatever_was_said_in_between():
    items = [call("1"), call("2"), message("user", "Hurry"), output("1", "x"), output("2", "y")]
    sent = messages(GENERIC, *items)
    assert [found["role"] for found in sent] == ["assistant", "tool", "tool", "user"]
    assert [found["content"] for found in sent[1:3]] == ["x", "y"]


def test_two_messages_of_the_assistant_stay_two():
    items = [message("assistant", "a"), message("assistant", "b")]
    assert [found["content"] for found in messages(GENERIC, *items)] == ["a", "b"]


@pytest.mark.parametrize(("adapter", "content"), [(GENERIC, ""), (OPENAI, None)])
def test_a_message_of_calls_alone_has_the_content_the_dialect_wants(adapter, content):
    assert messages(adapter, call(), output())[0]["content"] == content


def test_a_list_as_tool_output_is_text_and_what_follows_as_the_users():
    items = [
        call("call_1"),
        call("call_2"),
        output("call_1", [part("one"), image(), part("two")]),
        output("call_2", [image()]),
        message("user", "So?"),
    ]
    sent = messages(GENERIC, *items)
    assert [found["role"] for found in sent] == ["assistant", "tool", "tool", "user", "user"]
    assert sent[1]["content"] == "one\ntwo"
    assert "attached" in sent[2]["content"]
    kinds = [found["type"] for found in sent[3]["content"]]
    assert kinds == ["text", "image_url", "text", "image_url"]
    assert "call_1" in sent[3]["content"][0]["text"]
    assert "call_2" in sent[3]["content"][2]["text"]


def test_mistral_hears_the_assistant_between_a_tool_and_the_user():
    sent = messages(MISTRAL, call("abcdefghi"), output("abcdefghi"), message("user", "So?"))
    assert [found["role"] for found in sent] == ["assistant", "tool", "assistant", "user"]


def test_call_ids_for_mistral_are_nine_characters_and_always_the_same():
    first = messages(MISTRAL, call("call_long_id"), output("call_long_id"))
    again = messages(MISTRAL, call("other_id_1"), output("other_id_1"), call("call_long_id"))
    id = first[0]["tool_calls"][0]["id"]
    assert first[1]["tool_call_id"] == id
    assert len(id) == 9
    assert id.isalnum()
    assert again[2]["tool_calls"][0]["id"] == id
    assert again[0]["tool_calls"][0]["id"] != id
    kept = messages(MISTRAL, call("Ab3dEf9hI"), output("Ab3dEf9hI"))
    assert kept[1]["tool_call_id"] == "Ab3dEf9hI"


def test_alternating_roles_are_kept_by_joining_texts():
    adapter = ChatCompletions(dialects.PERPLEXITY)
    sent = messages(
        adapter,
        message("user", "a"),
        message("user", "b"),
        message("assistant", "c"),
        message("assistant", "d"),
        user(part("e"), image()),
        message("user", "f"),
        instructions="I",
    )
    assert [found["role"] for found in sent] == ["system", "user", "assistant", "user"]
    assert [found["content"] for found in sent[1:3]] == ["a\n\nb", "c\n\nd"]
    assert [found["type"] for found in sent[3]["content"]] == ["text", "image_url", "text"]


# --- reasoning in the conversation


@pytest.mark.parametrize(
    ("dialect", "field"),
    [("deepseek", "reasoning_content"), ("ollama", "reasoning"), ("zai", "reasoning_content")],
)
def test_reasoning_goes_back_where_the_dialect_takes_it(dialect, field):
    adapter = ChatCompletions(DIALECTS[dialect])
    sent = messages(
        adapter, thought("a", "b"), call(), output(), thought("c"), message("assistant", "d")
    )
    assert [found.get(field) for found in sent] == ["a\n\nb", None, "c"]


def test_reasoning_kept_as_content_goes_back_as_well():
    raw = {"type": "reasoning", "summary": [], "content": [part("a", "reasoning_text")]}
    assert messages(DEEPSEEK, raw, message("assistant", "b"))[0]["reasoning_content"] == "a"


def test_reasoning_is_left_out_where_nothing_takes_it():
    assert messages(OPENAI, thought("a"), message("assistant", "b")) == [
        {"role": "assistant", "content": "b"}
    ]


def test_mistral_takes_reasoning_as_a_part():
    assert messages(MISTRAL, thought("a"), message("assistant", "b"))[0]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]},
        {"type": "text", "text": "b"},
    ]


def test_deepseek_wants_the_field_on_calls_of_another_provider_too():
    sent = messages(DEEPSEEK, call(), output(), message("assistant", "b"))
    assert sent[0]["reasoning_content"] == ""
    assert "reasoning_content" not in sent[2]


def test_reasoning_between_parallel_calls_does_not_part_them():
    sent = messages(
        DEEPSEEK, thought("a"), call("1"), thought("b"), call("2"), output("1"), output("2")
    )
    assert [found["role"] for found in sent] == ["assistant", "tool", "tool"]
    assert sent[0]["reasoning_content"] == "a\n\nb"
    assert len(sent[0]["tool_calls"]) == 2


def test_reasoning_after_words_belongs_to_what_follows():
    sent = messages(DEEPSEEK, message("assistant", "a"), thought("t"), message("assistant", "b"))
    assert [(found["content"], found.get("reasoning_content")) for found in sent] == [
        ("a", None),
        ("b", "t"),
    ]


def test_reasoning_that_led_nowhere_is_not_sent():
    sent = messages(DEEPSEEK, thought("a"), message("user", "Hi"), message("assistant", "b"))
    assert [found["role"] for found in sent] == ["user", "assistant"]
    assert "reasoning_content" not in sent[1]


# --- the native turn

NATIVE = {
    "role": "assistant",
    "content": "Looking.",
    "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "signature": "sig"}],
    "tool_calls": [wire_call("up_1"), wire_call("")],
}
ITEMS = [thought("Hm"), message("assistant", "Looking."), call("up_1"), call("call_minted")]


def native_turn(adapter, model="m"):
    scope = adapter.scope(turn())
    spans = [Span([message("user", "Go")]), Span(ITEMS, NativeTurn(scope, NATIVE))]
    answers = [output("up_1", "x"), output("call_minted", "y")]
    return Turn(model=model, spans=[*spans, Span(answers)])


def test_a_native_turn_goes_back_unmodified_but_for_ids_that_were_missing():
    adapter = ChatCompletions(dialects.OPENROUTER)
    sent = adapter.encode(native_turn(adapter)).body["messages"]
    given = {**NATIVE, "tool_calls": [wire_call("up_1"), wire_call("call_minted")]}
    assert sent == [
        {"role": "user", "content": "Go"},
        given,
        {"role": "tool", "tool_call_id": "up_1", "content": "x"},
        {"role": "tool", "tool_call_id": "call_minted", "content": "y"},
    ]


def test_an_id_that_clients_know_under_another_name_is_the_upstreams_again():
    adapter = ChatCompletions(dialects.OPENROUTER)
    long = "u" * 80
    state = {"role": "assistant", "content": None, "tool_calls": [wire_call(long)]}
    spans = [Span([call("call_short")], NativeTurn(adapter.scope(turn()), state))]
    sent = adapter.encode(Turn(model="m", spans=[*spans, Span([output("call_short")])])).body
    assert sent["messages"][0]["tool_calls"][0]["id"] == long
    assert sent["messages"][1]["tool_call_id"] == long


def test_another_model_is_told_the_items():
    adapter = ChatCompletions(dialects.OPENROUTER)
    sent = adapter.encode(native_turn(adapter, model="other")).body["messages"]
    assert "reasoning_details" not in sent[1]
    assert [found["id"] for found in sent[1]["tool_calls"]] == ["up_1", "call_minted"]


def test_encoding_leaves_the_turn_as_it_was():
    adapter = ChatCompletions(dialects.OPENROUTER)
    given = native_turn(adapter)
    before = repr(given)
    adapter.encode(given)
    assert repr(given) == before
