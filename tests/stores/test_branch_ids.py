"""The numbers of branches: by time, as wide as a database's integers, hardly ever the same."""

import time

import pytest

from stores.branch_ids import new_branch_id

WIDEST = 2**63 - 1


def test_later_branches_have_larger_numbers() -> None:
    first = new_branch_id()
    time.sleep(0.002)

    assert 0 < first < new_branch_id() < WIDEST


def test_branches_of_one_moment_have_different_numbers() -> None:
    drawn = {new_branch_id() for _ in range(5)}

    assert len(drawn) == 5


def test_numbers_fit_for_another_half_century(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: time_of(2076))

    assert new_branch_id() < WIDEST


def time_of(year: int) -> int:
    return (year - 1970) * 366 * 86_400 * 10**9
