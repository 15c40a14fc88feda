"""The calls without a server keep conversations in every store, and share them with other
processes."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from called import CLAUDE, says
from every_store import store_url
from upstream import elsewhere

import responses_mw
from responses_mw import calls
from responses_mw.deltas import Stopped, TextDelta
from responses_mw.errors import NotFound
from responses_mw.testing import check_event_order

__all__ = ["store_url"]


@pytest.fixture
def url(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the calls keep what they make."""
    monkeypatch.setenv("RESPONSES_MW_STORE", store_url)
    yield store_url
    calls.default.close()


@pytest.mark.usefixtures("url")
def test_a_chain_is_made_streamed_read_and_deleted() -> None:
    with elsewhere(says("Hello.")) as it:
        asked = {"model": CLAUDE, "api_key": "k", "api_base": it.url}
        one = responses_mw.responses(**asked, input="I am Ann.")
        events = list(
            responses_mw.responses(**asked, input="Who?", previous_response_id=one.id, stream=True)
        )
        two = events[-1].response
        three = responses_mw.responses(**asked, input="And?", previous_response_id=two.id)
    check_event_order([event.model_dump() for event in events])
    said = [part["text"] for m in it.exchanges[2].json["messages"] for part in m["content"]]
    assert said == ["I am Ann.", "Hello.", "Who?", "Hello.", "And?"]
    assert responses_mw.get_responses(two.id) == two
    again = list(responses_mw.get_responses(two.id, stream=True))
    assert [event.model_dump() for event in again] == [event.model_dump() for event in events]
    [item] = responses_mw.list_input_items(three.id).data
    assert item.content[0].text == "And?"
    assert responses_mw.delete_responses(two.id).deleted
    with pytest.raises(NotFound):
        responses_mw.get_responses(two.id)
    with pytest.raises(responses_mw.InvalidRequest):
        responses_mw.responses(
            model="x/y", input="Hi", previous_response_id=two.id, mock_response="Never."
        )
    whole = responses_mw.compact_responses(
        model="x/y", previous_response_id=three.id, mock_response="All of it."
    )
    assert whole.output[-1].type == "compaction"


@pytest.mark.usefixtures("url")
async def test_background_work_is_cancelled_and_awaited() -> None:
    slow = [TextDelta("a"), 60.0, Stopped()]
    made = await responses_mw.aresponses(
        model="x/y", input="Hi", background=True, mock_response=slow
    )
    assert (await responses_mw.aget_responses(made.id)).status in ("queued", "in_progress")
    assert (await responses_mw.acancel_responses(made.id)).status == "cancelled"
    assert (await responses_mw.aget_responses(made.id)).status == "cancelled"
    assert (await responses_mw.adelete_responses(made.id)).deleted


def test_another_process_goes_on_with_it(url: str) -> None:
    if url == "memory://":
        pytest.skip("MemoryStore is not shared between processes")
    one = responses_mw.responses(model="x/y", input="I am Ann.", mock_response="Hi.")
    program = (
        "import responses_mw\n"
        "made = responses_mw.responses(\n"
        "    model='python/responses_mw.testing:EchoProvider', input='Who?',\n"
        f"    previous_response_id={one.id!r},\n"
        ")\n"
        "print(made.id)\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    two = responses_mw.get_responses(found.stdout.strip())
    assert two.output_text == "user: I am Ann.\nassistant: Hi.\nuser: Who?"


def test_a_router_keeps_its_own_there(url: str) -> None:
    params = {"model": "python/responses_mw.testing:EchoProvider"}
    models = [{"model_name": "echo", "litellm_params": params}]
    with contextlib.closing(responses_mw.Router(models, store=url)) as router:
        one = router.responses(model="echo", input="Hi")
        *_, last = router.responses(
            model="echo", input="And?", previous_response_id=one.id, stream=True
        )
        assert last.response.output_text == "user: Hi\nassistant: user: Hi\nuser: And?"
        assert router.get_responses(last.response.id) == last.response
        assert router.delete_responses(one.id).deleted
        router.close()
        assert router.get_responses(last.response.id).output_text == last.response.output_text
