"""Every file of an adapter is named where import-linter keeps the adapters from each other."""

import tomllib

from cases import REPOSITORY

FAMILIES = ("anthropic", "bedrock", "chat", "gemini", "openai_responses", "vertex")
TOGETHER = {"vertex": "gemini"}
"""Both are Google's: they stand in one contract."""
KNOWN_TO = {"bedrock": {"anthropic"}}
"""Claude is served by Bedrock, too."""

FILES = {path.stem for path in (REPOSITORY / "responses_mw" / "adapters").glob("*.py")}
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]


def family(name: str) -> str | None:
    found = next((f for f in FAMILIES if name == f or name.startswith(f"{f}_")), None)
    return TOGETHER.get(str(found), found)


def test_each_family_is_a_stranger_to_every_file_of_the_others() -> None:
    contracts = {}
    for contract in CONTRACTS:
        if "strangers" in contract["name"]:
            source, forbidden = (
                {name.removeprefix("responses_mw.adapters.") for name in contract[key]}
                for key in ("source_modules", "forbidden_modules")
            )
            contracts[family(min(source))] = source, forbidden

    assert contracts == {
        own: (
            {name for name in FILES if family(name) == own},
            {
                name
                for name in FILES
                if family(name) not in (None, own, *KNOWN_TO.get(str(own), ()))
            },
        )
        for own in {family(name) for name in FAMILIES}
    }
