"""Ids: their length, their order, and the response that an item leads to."""

import re
import time

import pytest

from responses_mw.ids import input_item_id, new_id, output_item_id, response_of_item


def test_an_id_is_its_prefix_and_32_digits() -> None:
    ids = {new_id("resp") for _ in range(1000)}

    assert len(ids) == 1000
    assert all(re.fullmatch("resp_[0-9a-v]{32}", id) for id in ids)


def test_every_digit_behind_the_time_is_drawn() -> None:
    ids = [new_id("resp") for _ in range(1000)]

    for place in range(len("resp_") + 6, len(ids[0])):
        assert len({id[place] for id in ids}) == 32


def test_ids_sort_by_the_time_they_were_made_at(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for seconds in (0, 4, 200, 10**9, 1_800_000_000, 2**32 - 1):
        monkeypatch.setattr(time, "time", lambda seconds=seconds: seconds + 0.5)
        made.append(new_id("resp"))

    assert made == sorted(made)


@pytest.mark.parametrize(
    "id", ["resp_" + "0123456789abcdefghijklmnopqrstuv", "resp_" + "0123456789abcdef" * 2]
)
def test_an_item_leads_to_its_response_also_to_one_of_before(id: str) -> None:
    assert response_of_item(output_item_id(id, "message", 0)) == id
    assert response_of_item(input_item_id(id, "function_call_output", 12)) == id


@pytest.mark.parametrize("id", ["msg_1", "msg_" + "z" * 32 + "_0", "resp_" + "0" * 32, 7, None])
def test_what_is_no_item_of_ours_leads_nowhere(id: object) -> None:
    assert response_of_item(id) is None
