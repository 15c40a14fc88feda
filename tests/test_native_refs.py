"""Native turns are stored small and come back the same."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from responses_mw.native_refs import pack, unpack

LONG = st.sampled_from(["a" * 64, "b" * 200, "ü" * 70])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | LONG,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["$", "plain", "x", "text"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(state=JSON, output=st.lists(JSON, max_size=4))
def test_whatever_goes_in_comes_out(state: object, output: list[object]) -> None:
    kept = orjson.loads(orjson.dumps(pack(state, output)))
    reread = orjson.loads(orjson.dumps(output))
    assert unpack(kept, reread) == state


def test_long_strings_of_the_output_are_not_stored_twice() -> None:
    text = "said once " * 1000
    output = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
    packed = pack([{"type": "text", "text": text}, {"signature": "s" * 100}], output)
    assert len(orjson.dumps(packed)) < 300
