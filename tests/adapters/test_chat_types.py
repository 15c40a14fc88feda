"""Chat completions requests against the official client's types, in every dialect."""

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from chat_turns import (
    EVERYTHING,
    OPENAI,
    PDF,
    SCHEMA,
    STREAM_BODY,
    WHOLE_BODY,
    call,
    image,
    message,
    messages,
    output,
    part,
    thought,
    turn,
    user,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import completion_create_params
from pydantic import ValidationError

from responses_mw.adapters import chat_dialects as dialects
from responses_mw.adapters.chat_completions import ChatCompletions
from responses_mw.adapters.chat_dialects import DIALECTS

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
