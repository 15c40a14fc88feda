"""Bodies that are cheap to send and dear to refuse: they are refused before they cost anything."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from responses_mw import ResponsesApp, Settings
from responses_mw.aside_schema import compact_request, count_request
from responses_mw.deltas import Delta, TextDelta
from responses_mw.errors import InvalidRequest
from responses_mw.key_schema import NewKey, Revoked
from responses_mw.schema import CreateRequest
from responses_mw.testing import EchoProvider
from responses_mw.testing.asgi import InProcessTransport
from responses_mw.turn import Turn

SIZE = 1024 * 1024
SLOWEST_S = 1.0
"""For a megabyte; reading and checking one takes about a tenth of it."""


def many(values: bytes, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """`before`, as many of the values as are a megabyte, `after`; `%d` in them is their number."""
    if b"%d" not in values:
        return before + b",".join([values] * (SIZE // len(values))) + after
    size = len(values) + 4 * values.count(b"%d")
    numbered = (values.replace(b"%d", b"%d" % n) for n in range(SIZE // size))
    return before + b",".join(numbered) + after


ASKED = b'{"model":"m","input":"x",'
TOOLS = many(b'{"type":"shell"}', before=ASKED + b'"tools":[')
HOSTILE = {
    "names": many(b'"n%d":0', before=ASKED, after=b"}"),
    "names within": many(b'"n%d":0', before=ASKED + b'"text":{', after=b"}}"),
    "include": many(b"0", before=ASKED + b'"include":[', after=b"]}"),
    "metadata": many(b'"n%d":0', before=ASKED + b'"metadata":{', after=b"}}"),
    "management": many(b"0", before=ASKED + b'"context_management":[', after=b"]}"),
    "items": many(b"{}", before=b'{"model":"m","input":[', after=b"]}"),
    "tools": many(b"{}", before=ASKED + b'"tools":[', after=b"]}"),
    "choices": TOOLS
    + b'],"tool_choice":{"type":"allowed_tools","tools":['
    + b",".join([b'{"type":"shell"}'] * 127)
    + b',{"type":"apply_patch"}]}}',
    "a surrogate behind": many(b"0", before=b'{"input":[', after=b',"\\ud800"]}'),
    "a surrogate before": many(b"[]", before=b'{"input":["\\ud800",', after=b"]}"),
    "half of a surrogate deep down": b'{"a":' * 900 + b'"\\ud800"' + b"}" * 900,
    "numbers": many(b"1e308", before=b'{"model":"m","input":[', after=b"]}"),
    "deep": b"[" * SIZE,
    "one long number": ASKED + b'"temperature":' + b"9" * SIZE + b"}",
    "one long name": ASKED + b'"' + b"n" * SIZE + b'":0}',
    "one long model": b'{"model":"' + b"\\n" * (SIZE // 2) + b'","input":"x"}',
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_megabyte_is_refused_in_no_time(hostile: str) -> None:
    begun = time.process_time()
    with pytest.raises(InvalidRequest) as refused:
        CreateRequest.parse(HOSTILE[hostile])
    assert time.process_time() - begun < SLOWEST_S
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("parse", [count_request, compact_request, NewKey.parse, Revoked.parse])
@pytest.mark.parametrize("hostile", ["names", "numbers", "a surrogate behind"])
def test_so_it_is_by_the_other_routes(parse: object, hostile: str) -> None:
    begun = time.process_time()
    with pytest.raises(InvalidRequest):
        parse(HOSTILE[hostile])  # type: ignore[operator]
    assert time.process_time() - begun < SLOWEST_S


def test_a_surrogate_is_named_where_that_is_quickly_found() -> None:
    with pytest.raises(InvalidRequest) as refused:
        CreateRequest.parse(b'{"model":"m","input":[{"role":"user","a":[1,{"b":"\\ud800"}]}]}')
    assert refused.value.param == "input[0].a[1].b"


@pytest.mark.parametrize("name", ["a\r\nset-cookie: b=c", "a\nb", "\x1b[2J", "a\u2028b", "\x85"])
def test_a_models_name_is_one_line(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        CreateRequest.of({"model": name, "input": "hi"})
    assert refused.value.param == "model"
    assert refused.value.message.isprintable()


class Short:
    """Whose summaries are."""

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        yield TextDelta("Short.")


MODELS = {"echo": EchoProvider(), "short": Short()}


async def test_small_compactions_do_not_grow_into_gigabytes() -> None:
    """One of 24 KB stands for 18 MB here; each would be unpacked."""
    app = ResponsesApp(store="memory://", models=MODELS)
    long = [{"role": "developer", "content": letter * 9_000_000} for letter in "ab"]
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:
        made = await http.post("/responses/compact", json={"model": "short", "input": long})
        (compaction,) = [one for one in made.json()["output"] if one["type"] == "compaction"]
        assert len(compaction["encrypted_content"]) < 100_000
        for path in ("/responses", "/responses/input_tokens", "/responses/compact"):
            begun = time.process_time()
            body = {"model": "echo", "input": [compaction] * 1000}
            answer = await http.post(path, json=body)
            assert time.process_time() - begun < 5
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")


@pytest.mark.parametrize("chained", [False, True])
async def test_compactions_stand_for_no_more_than_a_request_may_hold(chained: bool) -> None:
    """Together, in a request or in the inputs of a chain."""
    settings = Settings(max_body_bytes=3_000_000)
    app = ResponsesApp(store="memory://", models=MODELS, settings=settings)
    transport = InProcessTransport(app)
    async with app.lifespan(), httpx2.AsyncClient(transport=transport, base_url="http://t") as http:

        async def ask(path: str, model: str = "echo", **body: Any) -> httpx2.Response:
            return await http.post(path, json={"model": model, **body})

        rules = [{"role": "developer", "content": "a" * 900_000}]
        made = await ask("/responses/compact", "short", input=rules)
        (compaction,) = [one for one in made.json()["output"] if one["type"] == "compaction"]
        before: dict[str, str] = {}
        for _ in range(3):
            asked = await ask("/responses", input=[compaction], **before)
            assert asked.status_code == 200
            before = {"previous_response_id": asked.json()["id"]} if chained else {}
        refused = await ask("/responses", input=[compaction] * (1 if chained else 4), **before)

    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    assert "3000000 bytes" in refused.json()["error"]["message"]
