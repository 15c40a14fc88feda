"""How PostgresStore reads what is long."""

from dataclasses import replace

from stores.base import History, NativeState, StoredTurn
from stores.postgres import PostgresStore
from stores.testing.turns import LEASE, OWNER, new, outcome, question


async def test_a_history_of_many_long_turns_is_told_turn_by_turn(postgres_dsn: str) -> None:
    """It is decoded piece by piece; where one ends depends on the turns' sizes."""
    turns, parent = [], None
    async with PostgresStore(postgres_dsn) as store:
        for number, letters in enumerate([1, 60_000, *range(8_000, 12_000, 100), 300_000, 2]):
            input = [{"text": f"{number}?" + "a" * letters}]
            output = [{"text": f"{number}!" + "b" * letters}]
            native = NativeState(f"scope {number}", {"n": number}) if number % 3 == 0 else None
            id = f"r{number}"
            await store.reserve(new(id, parent, input=input), owner=OWNER)
            end = replace(outcome(id, output=output), native=native)
            await store.finish(id, end, owner=OWNER, lease=LEASE)
            turns.append(StoredTurn(input, output, native))
            parent = id
        await store.reserve(new("last", parent), owner=OWNER)

        history = await store.history("last", owner=OWNER)

    assert history == History("in_progress", [*turns, StoredTurn(question("last"), [])])
