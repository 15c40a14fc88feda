"""What docs/routing.md says of the rules is so, its example included."""

import re
from dataclasses import fields
from typing import get_args

import pytest
import yaml
from cases import REPOSITORY

from responses_mw.config import load
from responses_mw.config_known import ROUTER
from responses_mw.routing.options import Check, Routing, StrategyName

TEXT = (REPOSITORY / "docs" / "routing.md").read_text()


def rows(title: str) -> list[list[str]]:
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_rule_is_listed_with_its_default() -> None:
    default = Routing()
    told = {row[0].strip("`"): row[1].strip("`") for row in rows("All rules")}
    ours = {each.name: repr(getattr(default, each.name)) for each in fields(Routing)}
    assert told == {**ours, "checks": "the first two above"}


def test_no_key_is_both_listed_and_said_to_have_no_effect() -> None:
    told = {
        name for row in rows("All rules") if len(row) > 2 for name in re.findall(r"`(\w+)`", row[2])
    }
    assert told
    assert not told & ROUTER


def test_every_strategy_and_check_is_listed() -> None:
    assert {row[0].strip("`") for row in rows("Who is asked first")} == set(get_args(StrategyName))
    for check in get_args(Check):
        assert f"`{check}`" in TEXT


def test_the_example_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY"):
        monkeypatch.setenv(name, "k")
    loaded = load(yaml.safe_load(TEXT.partition("```yaml\n")[2].partition("```")[0]))
    assert (len(loaded.models["gpt"]), loaded.warnings) == (2, ())
