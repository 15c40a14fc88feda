"""What the calls return reads like the official client's objects, and is a value."""

import copy
import pickle

import openai.types.responses
import pytest
from called import store

import responses_mw

pytestmark = pytest.mark.usefixtures("store")
__all__ = ["store"]


def test_a_response_reads_like_the_clients() -> None:
    made = responses_mw.responses(
        model="x/y", input="Hi", mock_response="Hello", metadata={"items": "1"}
    )
    theirs = openai.types.responses.Response.model_validate(made.model_dump())
    assert made.output_text == theirs.output_text
    assert made.output[0].content[0].text == theirs.output[0].content[0].text  # type: ignore[union-attr]
    assert made.usage.total_tokens == theirs.usage.total_tokens  # type: ignore[union-attr]
    assert made["output"][0]["role"] == "assistant"
    assert made.metadata == {"items": "1"}
    assert made.error is None
    assert not hasattr(made, "nothing")
    assert made.get("nothing", 1) == 1
    assert "usage" in made
    assert "output_text" in dir(made)


def test_a_response_is_a_value() -> None:
    made = responses_mw.responses(model="x/y", input="Hi", mock_response="Hello")
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert twin == made
        assert twin.headers == made.headers
    dumped = made.model_dump()
    dumped["output"].clear()
    assert made.output_text == "Hello"
    with pytest.raises(AttributeError, match="read-only"):
        made.status = "failed"
    with pytest.raises(TypeError, match="take its id"):
        hash(made)
    assert "error" not in made.model_dump(exclude_none=True)
    assert '"object":"response"' in made.model_dump_json()
    assert "output_text" in repr(made)
