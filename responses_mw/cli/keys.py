"""`responses-mw keys`: virtual keys made, listed, changed and revoked, in the server's store."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
import typer

from responses_mw import key_changing
from responses_mw.cli.admin import Config, Store, in_store
from responses_mw.cli.usage import print_table
from responses_mw.errors import ConfigurationError
from responses_mw.key_making import new_key, shown
from responses_mw.keys import digest_of
from stores.base import SessionStore

TOLD = (
    *("id", "owner", "name", "models", "spent", "max_budget"),
    *("expires_at", "blocked", "revoked_at"),
)
"""What a list says of a key."""

keys = typer.Typer(help="Virtual keys: who may ask, for which models, how much.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object in a line.")]
Key = Annotated[str, typer.Argument(help="Its id, or the key itself.")]
Models = Annotated[
    str | None, typer.Option(help="With commas between; gpt-* is all that begin so. Else all.")
]
MaxBudget = Annotated[float | None, typer.Option(help="In dollars.")]
BudgetDuration = Annotated[
    str | None, typer.Option(help="30d, 24h, 1mo: then the budget begins anew. Else never.")
]
Rpm = Annotated[int | None, typer.Option(help="Requests in a minute.")]
Tpm = Annotated[int | None, typer.Option(help="Tokens in a minute.")]
Expires = Annotated[str | None, typer.Option(help="A duration, or a date.")]


@keys.command()
def create(
    *,
    owner: Annotated[str, typer.Option(help="Whose responses the key makes and sees.")],
    name: Annotated[str | None, typer.Option(help="For you.")] = None,
    models: Models = None,
    max_budget: MaxBudget = None,
    budget_duration: BudgetDuration = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    expires: Expires = None,
    json: Json = False,
    config: Config = None,
    store: Store = None,
) -> None:
    """Make a key, and show it this once."""
    named = _names(models or "")

    async def made(found: SessionStore) -> tuple[str, str]:
        secret, key = new_key(
            owner=owner,
            name=name,
            models=named,
            max_budget=max_budget,
            budget_duration=budget_duration,
            rpm=rpm,
            tpm=tpm,
            expires=expires,
        )
        await found.add_key(key, digest=digest_of(secret))
        return secret, orjson.dumps({"key": secret, **shown(key)}).decode()

    # Before the first start, too.
    secret, told = in_store(store, config, made, must_exist=False)
    print(told if json else secret)


@keys.command("list")
def listed(
    *,
    owner: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    json: Json = False,
    config: Config = None,
    store: Store = None,
) -> None:
    """List keys, the revoked ones too; not the keys themselves, which nobody has."""

    async def found(store: SessionStore) -> list[dict[str, object]]:
        return [shown(key) for key in await store.keys(owner=owner)]

    rows = in_store(store, config, found)
    if json:
        for row in rows:
            print(orjson.dumps(row).decode())
    else:
        print_table([{name: row[name] for name in TOLD} for row in rows], empty="no keys")


@keys.command()
def update(
    key: Key,
    *,
    name: Annotated[str | None, typer.Option(help="For you.")] = None,
    models: Models = None,
    max_budget: MaxBudget = None,
    budget_duration: BudgetDuration = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    expires: Expires = None,
    without: Annotated[
        str, typer.Option(help="Limits to take away, with commas between: rpm,max-budget.")
    ] = "",
    json: Json = False,
    config: Config = None,
    store: Store = None,
) -> None:
    """Change a key; what is not named stays."""
    given: dict[str, Any] = {
        "name": name,
        "models": None if models is None else _names(models),
        "max_budget": max_budget,
        "budget_duration": budget_duration,
        "rpm": rpm,
        "tpm": tpm,
        "expires": expires,
    }
    said = {limit: value for limit, value in given.items() if value is not None}
    if said.get("models") == []:
        raise ConfigurationError("--models names none; --without models lets the key ask for all")
    for limit in (name.replace("-", "_") for name in _names(without)):
        if limit not in given or limit in said:
            known = ", ".join(given).replace("_", "-")
            raise ConfigurationError(
                f"--without takes limits that are not set beside it, of {known}; not {limit!r}"
            )
        said[limit] = None

    async def changed(found: SessionStore) -> str:
        return orjson.dumps(shown(await key_changing.change(found, key, said))).decode()

    told = in_store(store, config, changed)
    print(told if json else "changed; a server notices within seconds")


@keys.command()
def block(key: Key, *, config: Config = None, store: Store = None) -> None:
    """Let a key in no more until it is unblocked."""
    in_store(store, config, lambda found: key_changing.block(found, key, blocked=True))
    print("blocked; a server notices within seconds")


@keys.command()
def unblock(key: Key, *, config: Config = None, store: Store = None) -> None:
    """Let a blocked key in again, as it was."""
    in_store(store, config, lambda found: key_changing.block(found, key, blocked=False))
    print("unblocked")


@keys.command()
def revoke(
    key: Key,
    *,
    config: Config = None,
    store: Store = None,
) -> None:
    """Let a key in no more. What was used with it stays known."""

    async def revoked(found: SessionStore) -> bool:
        held = await key_changing.found(found, key)
        return held is not None and await found.revoke_key(held.id, at=datetime.now(UTC))

    if not in_store(store, config, revoked):
        raise ConfigurationError("no such key is in force; see `responses-mw keys list`")
    print("revoked; a server notices within seconds")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
