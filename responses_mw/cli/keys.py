"""`responses-mw keys`: virtual keys made, listed and revoked, in the server's store."""

from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from responses_mw.cli.admin import Config, Store, in_store
from responses_mw.cli.usage import print_table
from responses_mw.errors import ConfigurationError
from responses_mw.key_making import new_key, shown
from responses_mw.keys import PREFIX, digest_of
from stores.base import SessionStore

keys = typer.Typer(help="Virtual keys: who may ask, for which models, how much.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object in a line.")]


@keys.command()
def create(
    *,
    owner: Annotated[str, typer.Option(help="Whose responses the key makes and sees.")],
    name: Annotated[str | None, typer.Option(help="For you.")] = None,
    models: Annotated[
        str | None, typer.Option(help="With commas between; gpt-* is all that begin so. Else all.")
    ] = None,
    max_budget: Annotated[float | None, typer.Option(help="In dollars.")] = None,
    budget_duration: Annotated[
        str | None, typer.Option(help="30d, 24h, 1mo: then the budget begins anew. Else never.")
    ] = None,
    rpm: Annotated[int | None, typer.Option(help="Requests in a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens in a minute.")] = None,
    expires: Annotated[str | None, typer.Option(help="A duration, or a date.")] = None,
    json: Json = False,
    config: Config = None,
    store: Store = None,
) -> None:
    """Make a key, and show it this once."""
    named = [model.strip() for model in (models or "").split(",") if model.strip()]

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
        told = ("id", "owner", "name", "models", "spent", "max_budget", "expires_at", "revoked_at")
        print_table([{name: row[name] for name in told} for row in rows], empty="no keys")


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Its id, or the key itself.")],
    *,
    config: Config = None,
    store: Store = None,
) -> None:
    """Let a key in no more. What was used with it stays known."""

    async def revoked(found: SessionStore) -> bool:
        id = key
        if key.startswith(PREFIX):
            held = await found.key(digest_of(key))
            id = "" if held is None else held.id
        return await found.revoke_key(id, at=datetime.now(UTC))

    if not in_store(store, config, revoked):
        raise ConfigurationError("no such key is in force; see `responses-mw keys list`")
    print("revoked; a server notices within seconds")
