"""Turns as chat completions requests: messages, tools and parameters, in every dialect."""

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter, ValidationError

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import DIALECTS
from responses_mw.deltas import NativeTurn
from responses_mw.errors import UnsupportedByProvider
from responses_mw.turn import Span, Turn

OPENAI = ChatCompletions(dialects.OPENAI)
GENERIC = ChatCompletions(dialects.GENERIC)
MISTRAL = ChatCompletions(dialects.MISTRAL)
DEEPSEEK = ChatCompletions(dialects.DEEPSEEK)

WHOLE_BODY = TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming)
STREAM_BODY = TypeAdapter(completion_create_params.CompletionCreateParamsStreaming)

PIXEL = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="
TOOL = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    "strict": True,
}
OTHER = {"type": "function", "name": "find", "description": None, "parameters": None}
SCHEMA = {
    "type": "json_schema",
    "name": "city",
    "schema": {"type": "object", "properties": {}, "additionalProperties": False},
    "strict": True,
    "description": None,
}


def message(role, *texts):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [part(text, kind) for text in texts]}


def part(text, kind="input_text"):
    return {"type": kind, "text": text}


def user(*parts):
    return {"type": "message", "role": "user", "content": list(parts)}


def call(id="call_1", name="look", arguments='{"at":"x"}'):
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def output(id="call_1", output="seen"):
    return {"type": "function_call_output", "call_id": id, "output": output}


def thought(*texts):
    return {"type": "reasoning", "summary": [part(text, "summary_text") for text in texts]}


def image(**more):
    return {"type": "input_image", "image_url": PIXEL, "detail": "auto", **more}


def turn(*items, **options):
    return Turn(model="m", spans=[Span(items)], **options)


def body(adapter, *items, **options):
    return adapter.encode(turn(*items, **options)).body


def messages(adapter, *items, **options):
    return body(adapter, *items, **options)["messages"]


def wire_call(id="call_1", name="look", arguments='{"at":"x"}'):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


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


# --- tools


def test_functions_are_offered_nested():
    assert body(OPENAI, tools=[TOOL, OTHER])["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Looks.",
                "parameters": TOOL["parameters"],
                "strict": True,
            },
        },
        {
            "type": "function",
            "function": {"name": "find", "parameters": {"type": "object", "properties": {}}},
        },
    ]


def test_a_tool_nobody_here_can_run_is_refused_by_its_place():
    with pytest.raises(UnsupportedByProvider, match="web_search") as caught:
        OPENAI.encode(turn(tools=[TOOL, {"type": "web_search"}]))
    assert caught.value.param == "tools[1]"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", None),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "find"}, {"type": "function", "function": {"name": "find"}}),
    ],
)
def test_tool_choices_are_sent_in_chats_form(choice, sent):
    assert body(OPENAI, tools=[TOOL, OTHER], tool_choice=choice).get("tool_choice") == sent


def test_required_has_another_word_at_mistral():
    assert body(MISTRAL, tools=[TOOL], tool_choice="required")["tool_choice"] == "any"


@pytest.mark.parametrize(("mode", "sent"), [("auto", None), ("required", "required")])
def test_only_allowed_tools_are_offered(mode, sent):
    allowed = {
        "type": "allowed_tools",
        "mode": mode,
        "tools": [{"type": "function", "name": "find"}],
    }
    found = body(OPENAI, tools=[TOOL, OTHER], tool_choice=allowed)
    assert [tool["function"]["name"] for tool in found["tools"]] == ["find"]
    assert found.get("tool_choice") == sent


def test_a_choice_of_something_other_than_a_function_is_refused():
    with pytest.raises(UnsupportedByProvider, match="mcp") as caught:
        OPENAI.encode(turn(tools=[TOOL], tool_choice={"type": "mcp", "server_label": "x"}))
    assert caught.value.param == "tool_choice"


def test_without_tools_nothing_is_said_about_them():
    found = body(OPENAI, tool_choice="none", parallel_tool_calls=False)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & found.keys()


def test_where_choices_are_not_understood_the_offer_makes_them():
    adapter = ChatCompletions(dialects.OLLAMA)
    assert "tools" not in body(adapter, tools=[OTHER], tool_choice="none")
    forced = adapter.encode(
        turn(tools=[OTHER, {**OTHER, "name": "b"}], tool_choice={"type": "function", "name": "b"})
    )
    assert [tool["function"]["name"] for tool in forced.body["tools"]] == ["b"]
    assert forced.dropped == ("tool_choice",)


@pytest.mark.parametrize(
    ("dialect", "allowed", "sent", "dropped"),
    [
        ("openai", True, None, ()),
        ("openai", False, False, ()),
        ("llamacpp", True, True, ()),
        ("llamacpp", False, False, ()),
        ("zai", True, None, ()),
        ("zai", False, None, ("parallel_tool_calls",)),
    ],
)
def test_parallel_calls_are_switched_where_there_is_a_switch(dialect, allowed, sent, dropped):
    request = ChatCompletions(DIALECTS[dialect]).encode(
        turn(tools=[OTHER], parallel_tool_calls=allowed)
    )
    assert request.body.get("parallel_tool_calls") is sent
    assert request.dropped == dropped


# --- parameters

EVERYTHING = {
    "instructions": "I",
    "tools": [TOOL],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "max_output_tokens": 100,
    "temperature": 0.5,
    "top_p": 0.9,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "logprobs": True,
    "top_logprobs": 3,
    "text_format": SCHEMA,
    "verbosity": "low",
    "reasoning_effort": "low",
    "service_tier": "flex",
    "user": "u1",
    "prompt_cache_key": "k1",
}


def test_openai_is_told_everything():
    request = OPENAI.encode(turn(message("user", "Hi"), **EVERYTHING, stream=True))
    assert request.dropped == ()
    assert request.path == "/chat/completions"
    found = request.body
    expected = {
        "model": "m",
        "max_completion_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 3,
        "verbosity": "low",
        "reasoning_effort": "low",
        "service_tier": "flex",
        "safety_identifier": "u1",
        "prompt_cache_key": "k1",
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert {key: found[key] for key in expected} == expected
    assert found.keys() == {*expected, "messages", "tools", "response_format"}


def test_what_is_not_set_is_not_sent():
    assert body(OPENAI, message("user", "Hi")).keys() == {"model", "messages"}


def test_what_a_dialect_has_no_parameter_for_is_named():
    request = ChatCompletions(dialects.ZAI).encode(turn(**EVERYTHING))
    assert set(request.dropped) == {
        "presence_penalty",
        "frequency_penalty",
        "top_logprobs",
        "tools[0].strict",
        "parallel_tool_calls",
        "text.verbosity",
        "text.format.strict",
        "service_tier",
        "user",
        "prompt_cache_key",
    }


def test_hints_are_named_too_and_stop_no_strict_turn():
    hints = {"user": "u", "prompt_cache_key": "k"}
    request = GENERIC.encode(turn(**hints, strict=True))
    assert request.dropped == ("user", "prompt_cache_key")
    assert OPENAI.encode(turn(**hints, strict=True)).dropped == ()


def test_a_summary_is_dropped_where_reasoning_is_never_shown():
    assert OPENAI.encode(turn(reasoning_summary="auto")).dropped == ("reasoning.summary",)
    assert GENERIC.encode(turn(reasoning_summary="auto")).dropped == ()


def test_a_strict_turn_refuses_what_would_be_dropped():
    with pytest.raises(UnsupportedByProvider, match="service_tier") as caught:
        GENERIC.encode(turn(service_tier="flex", strict=True))
    assert caught.value.param == "service_tier"
    GENERIC.encode(turn(service_tier="auto", strict=True))


@pytest.mark.parametrize(
    ("dialect", "effort", "sent"),
    [
        ("openai", "high", {"reasoning_effort": "high"}),
        ("openrouter", "high", {"reasoning": {"effort": "high"}}),
        ("deepseek", "high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("deepseek", "none", {"thinking": {"type": "disabled"}}),
        ("zai", "high", {"thinking": {"type": "enabled"}}),
        ("llamacpp", "high", {}),
    ],
)
def test_effort_goes_where_the_dialect_has_it(dialect, effort, sent):
    request = ChatCompletions(DIALECTS[dialect]).encode(turn(reasoning_effort=effort))
    rest = {key: value for key, value in request.body.items() if key not in ("model", "messages")}
    assert rest == sent
    assert request.dropped == (() if sent else ("reasoning.effort",))


def test_a_schema_is_sent_without_what_is_null():
    assert body(OPENAI, text_format=SCHEMA)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": SCHEMA["schema"], "strict": True},
    }
    wanted = {"type": "json_object"}
    assert body(OPENAI, text_format=wanted)["response_format"] == wanted
    assert "response_format" not in body(OPENAI, text_format={"type": "text"})


@pytest.mark.parametrize("instructions", [None, "Be brief."])
def test_where_schemas_are_unknown_the_model_is_told(instructions):
    request = DEEPSEEK.encode(
        turn(message("user", "Hi"), text_format=SCHEMA, instructions=instructions)
    )
    system, asked = request.body["messages"]
    assert request.body["response_format"] == {"type": "json_object"}
    assert '"additionalProperties": false' in system["content"]
    assert system["content"].startswith(instructions or "Answer")
    assert asked == {"role": "user", "content": "Hi"}
    assert request.dropped == ("text.format.strict",)


@pytest.mark.parametrize(
    ("tier", "dialect", "sent", "dropped"),
    [
        ("default", "groq", "on_demand", ()),
        ("flex", "groq", "flex", ()),
        ("default", "generic", None, ()),
        ("priority", "generic", None, ("service_tier",)),
    ],
)
def test_service_tiers_have_the_vendors_names(tier, dialect, sent, dropped):
    chosen = DIALECTS.get(dialect, dialects.GENERIC)
    request = ChatCompletions(chosen).encode(turn(service_tier=tier))
    assert request.body.get("service_tier") == sent
    assert request.dropped == dropped


def test_the_hosts_own_fields_win():
    request = OPENAI.encode(
        turn(
            temperature=0.1, extra_body={"temperature": 0.9, "seed": 7}, extra_headers={"x-a": "b"}
        )
    )
    assert request.body["temperature"] == 0.9
    assert request.body["seed"] == 7
    assert request.headers == {"x-a": "b"}


def test_more_than_one_answer_cannot_be_asked_for():
    with pytest.raises(UnsupportedByProvider) as caught:
        OPENAI.encode(turn(extra_body={"n": 2}))
    assert caught.value.param == "n"


# --- against the official types

TEXT = st.text(max_size=5)
PARTS = st.one_of(
    st.builds(part, TEXT),
    st.sampled_from([image(), image(detail="high"), image(detail="original")]),
    st.just({"type": "input_file", "file_data": PDF, "filename": "a.pdf"}),
)
STEP = st.builds(
    lambda text, think, ids, answers: [
        *([thought(text)] if think else []),
        *([message("assistant", text)] if text else []),
        *(call(id) for id in ids),
        *(output(id, answers) for id in ids),
    ],
    TEXT,
    st.booleans(),
    st.lists(st.sampled_from(["call_1", "call_2", "call_3"]), unique=True, max_size=3),
    TEXT | st.lists(PARTS, max_size=2),
)
REFUSED = {**message("assistant"), "content": [{"type": "refusal", "refusal": "No."}]}
ITEM = st.one_of(
    st.builds(lambda parts: [user(*parts)], st.lists(PARTS, max_size=3)),
    st.builds(
        lambda role, text: [message(role, text)], st.sampled_from(["system", "developer"]), TEXT
    ),
    st.just([REFUSED]),
    STEP,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.just(value) for name, value in EVERYTHING.items() if name != "tool_choice"},
        "tool_choice": st.sampled_from(
            ["auto", "none", "required", {"type": "function", "name": "look"}]
        ),
        "text_format": st.sampled_from([SCHEMA, {"type": "json_object"}, {"type": "text"}]),
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
        "service_tier": st.sampled_from(["auto", "default", "flex", "priority"]),
    },
)


@given(st.lists(ITEM, min_size=1, max_size=5), OPTIONS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_requests_satisfy_the_official_clients_types(items, options, stream):
    flat = [item for group in items for item in group]
    if not flat:
        return
    request = OPENAI.encode(turn(*flat, **options, stream=stream))
    check_types(request.body, STREAM_BODY if stream else WHOLE_BODY)


def check_types(body, adapter):
    """Extra keys satisfy a TypedDict, so those of the body are compared by hand."""
    exhaust(adapter.validate_python(body))
    base = completion_create_params.CompletionCreateParamsBase.__annotations__
    assert body.keys() <= {*base, "stream"}


def exhaust(value):
    """What is annotated as an Iterable is validated only when somebody iterates."""
    match value:
        case dict():
            for inner in value.values():
                exhaust(inner)
        case str() | int() | float() | None:
            pass
        case _:
            for inner in value:
                exhaust(inner)


def test_the_official_types_would_see_a_mistake():
    for wrong in (
        {"role": "nobody", "content": "x"},
        {"role": "user", "content": [{"type": "hologram"}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]},
    ):
        with pytest.raises(ValidationError):
            check_types({"model": "m", "messages": [wrong]}, WHOLE_BODY)


@given(st.lists(ITEM, min_size=1, max_size=5), st.sampled_from(sorted(DIALECTS)))
@settings(max_examples=200, deadline=None)
def test_every_dialect_answers_each_call_right_after_it(items, name):
    chosen = replace(DIALECTS[name], file_parts="file", file_urls=True)
    sent = messages(ChatCompletions(chosen), *(item for group in items for item in group))
    waiting = set()
    for found in sent:
        if found["role"] == "tool":
            assert found["tool_call_id"] in waiting
            waiting.discard(found["tool_call_id"])
        else:
            assert not waiting
            waiting = {wire["id"] for wire in found.get("tool_calls") or ()}
    if chosen.alternating:
        talk = [found["role"] for found in sent if found["role"] in ("user", "assistant")]
        assert "tool" in [found["role"] for found in sent] or all(
            first != second for first, second in pairwise(talk)
        )


def test_each_dialect_has_its_own_name():
    assert len(DIALECTS) == 21
    assert all(name == dialect.name for name, dialect in DIALECTS.items())


def test_no_difference_between_dialects_is_dead():
    """A field that no dialect sets is a branch that nobody needs."""
    generic = {"name", "system_role", "tool_call_extras", "message_extras", "reasoning_fields"}
    for field in fields(dialects.ChatDialect):
        values = {repr(getattr(dialect, field.name)) for dialect in DIALECTS.values()}
        assert len(values) > 1 or field.name in generic
