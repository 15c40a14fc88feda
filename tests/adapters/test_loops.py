"""Two recorded steps of one conversation: from the first answer, we rebuild the second request.

That request was written by another client and accepted by the API. Every pair of `loops.json` is
proved here, by its own test; what may differ is listed in `loop_differences.py`.
"""

import json
from pathlib import Path

import pytest
from cases import REPOSITORY, Recording, needs_recordings
from loop_differences import DIFFERENCES, Difference, evened, listed
from loop_formats import FORMATS, PREVIOUS, Format
from loops import Loop, Rebuilt, loops, pairs, rebuild
from responses_cases import said_upstream

from responses_mw.adapters.openai_responses_items import as_input
from responses_mw.turn import Item
from stores import MemoryStore, open_store

LOOPS = loops()
each = pytest.mark.parametrize("loop", LOOPS, ids=str)


def differences(loop: Loop) -> list[Difference]:
    return [d for d in DIFFERENCES if d.concerns(loop.format.name, loop.first.provider)]


def same(rebuilt: Rebuilt, accepted: list[Difference]) -> bool:
    return evened(rebuilt.made, accepted) == evened(rebuilt.sent, accepted)


@each
async def test_second_request_is_rebuilt_from_the_stored_answer(loop: Loop) -> None:
    rebuilt = await rebuild(loop, MemoryStore())
    accepted = differences(loop)

    assert evened(rebuilt.made, accepted) == evened(rebuilt.sent, accepted)
    remembered = rebuilt.sent[0].get("type") == PREVIOUS
    assert rebuilt.body.get("store", False) is remembered


@needs_recordings
def test_every_pair_is_proved_by_a_test_of_its_own() -> None:
    proved = [(loop.first.id, loop.then.id) for loop in LOOPS]
    assert proved == pairs()
    assert len(proved) == 68
    assert {loop.format for loop in LOOPS} == set(FORMATS)


@needs_recordings
async def test_every_accepted_difference_is_needed() -> None:
    """Without it, some history that was really sent is not what we make."""
    rebuilt = [(loop, await rebuild(loop, MemoryStore())) for loop in LOOPS]
    needless = [
        difference.what
        for difference in DIFFERENCES
        if all(
            same(made, [d for d in differences(loop) if d is not difference])
            for loop, made in rebuilt
        )
    ]
    assert needless == []


def test_the_page_says_what_may_differ() -> None:
    assert listed() in REPOSITORY.joinpath("docs", "providers.md").read_text()


@needs_recordings
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_histories_are_the_same_through_a_file(format: Format, tmp_path: Path) -> None:
    await check_through(format, f"sqlite:///{tmp_path}/responses.db")


@needs_recordings
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_histories_are_the_same_through_a_database(format: Format, postgres_dsn: str) -> None:
    await check_through(format, postgres_dsn)


async def check_through(format: Format, url: str) -> None:
    """The longest of the format's histories."""
    spoken = [loop for loop in LOOPS if loop.format is format]
    loop = max(spoken, key=lambda loop: len(json.dumps(loop.then.request)))
    stored = await rebuild(loop, open_store(url))
    assert stored.made == (await rebuild(loop, MemoryStore())).made


# --- what is evened out above, and must be right all the same


def spoken(format: str, *, streamed: bool | None = None) -> list[Loop]:
    return [
        loop
        for loop in LOOPS
        if loop.format.name == format and streamed in (None, loop.first.streamed)
    ]


@pytest.mark.parametrize("loop", spoken("Gemini", streamed=False), ids=str)
async def test_parts_of_the_model_go_back_as_they_came(loop: Loop) -> None:
    came = json.loads(loop.first.body)["candidates"][0]["content"]["parts"]
    made = (await rebuild(loop, MemoryStore())).made
    assert {"role": "model", "parts": came} in made


@pytest.mark.parametrize("loop", spoken("Gemini"), ids=str)
async def test_results_have_the_ids_of_their_calls(loop: Loop) -> None:
    made = (await rebuild(loop, MemoryStore())).made
    parts = [part for content in made for part in content["parts"]]
    called, answered = (
        [part[kind].get("id") for part in parts if kind in part]
        for kind in ("functionCall", "functionResponse")
    )
    assert called == answered


@pytest.mark.parametrize("loop", spoken("Responses"), ids=str)
async def test_signed_items_go_back_as_the_upstream_said_them(loop: Loop) -> None:
    made = (await rebuild(loop, MemoryStore())).made
    for item in said(loop.first):
        if item["type"] not in ("message", "function_call"):
            assert as_input(item) in made


def said(first: Recording) -> list[Item]:
    """A stream's last event may say items again, encrypted anew."""
    if not first.streamed:
        output: list[Item] = json.loads(first.body)["output"]
        return output
    done = "response.output_item.done"
    return [event["item"] for event in said_upstream(first) if event["type"] == done]
