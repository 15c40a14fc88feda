"""Calls that are left before their end, and processes that end with them."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap

import pytest
from called import CLAUDE, begins_and_waits, says, store, wait_until
from upstream import elsewhere, upstream

import responses_mw
from responses_mw import direct
from responses_mw.deltas import Stopped, TextDelta

pytestmark = pytest.mark.usefixtures("store")
__all__ = ["store"]


@pytest.mark.parametrize("how", ["close", "with", "forget"])
def test_leaving_an_unstored_stream_stops_the_upstream(how: str) -> None:
    with elsewhere(begins_and_waits) as it:
        events = responses_mw.responses(
            model=CLAUDE, input="Hi", stream=True, store=False, api_key="k", api_base=it.url
        )
        assert next(events).type == "response.created"
        if how == "close":
            events.close()
            assert list(events) == []
        elif how == "with":
            with events:
                pass
        else:
            del events
        # What a thread is just using when it is forgotten, a later collection finds.
        wait_until(lambda: gc.collect() >= 0 and it.exchanges[0].gone.is_set())


async def test_leaving_an_awaited_stream_stops_the_upstream() -> None:
    async with upstream(begins_and_waits) as it:
        made = await responses_mw.aresponses(
            model=CLAUDE, input="Hi", stream=True, store=False, api_key="k", api_base=it.url
        )
        async with made as events:
            assert (await anext(events)).type == "response.created"
        await asyncio.wait_for(it.exchanges[0].gone.wait(), 5)


async def test_cancelling_an_awaited_call_stops_the_upstream() -> None:
    async with upstream(begins_and_waits) as it:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await responses_mw.aresponses(
                    model=CLAUDE, input="Hi", store=False, api_key="k", api_base=it.url
                )
        await asyncio.wait_for(it.exchanges[0].gone.wait(), 5)


def test_a_stored_stream_is_finished_when_it_is_left() -> None:
    said = [TextDelta("Once "), 0.2, TextDelta("more"), Stopped()]
    with responses_mw.responses(model="x/y", input="Hi", stream=True, mock_response=said) as events:
        id = next(events).response.id
    wait_until(lambda: responses_mw.get_responses(id).status == "completed")
    assert responses_mw.get_responses(id).output_text == "Once more"


def test_calls_that_differ_too_often_close_the_oldest_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(direct, "KEPT", 2)
    with elsewhere(says("Hello.")) as it:
        for n in range(5):
            responses_mw.responses(model=CLAUDE, input="Hi", api_key=f"{n}", api_base=it.url)
        wait_until(lambda: sum(asked.writer.is_closing() for asked in it.exchanges) == 3)


# --- the end of the process


def test_a_process_finishes_what_it_began_and_ends(store: str) -> None:
    id = script(
        """
        import responses_mw
        from responses_mw.deltas import Stopped, TextDelta

        said = [TextDelta("late"), 0.3, Stopped()]
        made = responses_mw.responses(model="x/y", input="Hi", background=True, mock_response=said)
        events = responses_mw.responses(model="x/y", input="Hi", stream=True, mock_response="Left")
        next(events)
        print(made.id)
        """
    ).strip()
    made = responses_mw.get_responses(id)
    assert (made.status, made.output_text) == ("completed", "late")


def test_a_process_does_not_wait_longer_than_it_should(store: str) -> None:
    id = script(
        """
        import responses_mw
        from responses_mw.deltas import Stopped, TextDelta

        models = [{"model_name": "x", "litellm_params": {"model": "ollama/x"}}]
        router = responses_mw.Router(models, settings=responses_mw.Settings(drain_s=0.1))
        said = [TextDelta("begun"), 60.0, Stopped()]
        stream = router.responses(model="x", input="Hi", stream=True, mock_response=said)
        print(next(stream).response.id)
        while next(stream).type != "response.output_text.delta":
            pass
        """
    ).strip()
    made = responses_mw.get_responses(id)
    assert (made.status, made.output_text) == ("cancelled", "begun")


def test_a_forked_process_calls_anew() -> None:
    said = script(
        """
        import os
        import warnings
        import responses_mw

        warnings.simplefilter("ignore", DeprecationWarning)  # forking threads is, since 3.12

        def ask(previous=None):
            return responses_mw.responses(
                model="x/y", input="Hi", previous_response_id=previous, mock_response="Hello"
            ).id

        one = ask()
        child = os.fork()
        two = ask(one)
        print(responses_mw.get_responses(two).output_text, flush=True)
        if child:
            assert os.waitpid(child, 0)[1] == 0
        """
    )
    assert said.splitlines() == ["Hello", "Hello"]


def script(program: str, **variables: str) -> str:
    """What a fresh interpreter says that runs it and ends by itself."""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    return found.stdout
