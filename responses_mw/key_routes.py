"""The routes `/key/...`: virtual keys made, listed and revoked by whoever has the master key.

LiteLLM's names for the fields are understood, too.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import AliasChoices, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from responses_mw import key_making
from responses_mw.errors import NotFound
from responses_mw.http import json_response, read_body
from responses_mw.keys import PREFIX, check_master, digest_of
from responses_mw.preparation import kept
from responses_mw.runtime import Runtime
from responses_mw.schema import RequestBody
from stores.accounts import StoredKey

MOST_BODY_BYTES = 1024 * 1024


def _named(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


class NewKey(RequestBody):
    owner: str = Field(validation_alias=AliasChoices("owner", "user_id"), max_length=512)
    name: str | None = _named("name", "key_alias")
    models: list[str] | None = None
    max_budget: float | None = None
    budget_duration: str | None = None
    rpm: int | None = _named("rpm", "rpm_limit")
    tpm: int | None = _named("tpm", "tpm_limit")
    expires: str | None = _named("expires", "duration")


class Revoked(RequestBody):
    """Ids of keys, or the keys themselves."""

    keys: list[str] = Field(min_length=1, max_length=1000)


class Application(Protocol):
    async def open(self) -> Runtime: ...


class KeyRoutes:
    def __init__(
        self, app: Application, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._app = app
        self._now = now

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/key/generate", self.generate, methods=["POST"]),
            Route("/key/list", self.listed, methods=["GET"]),
            Route("/key/info", self.info, methods=["GET"]),
            Route("/key/delete", self.delete, methods=["POST"]),
        ]

    async def generate(self, request: Request) -> Response:
        check_master(request)
        asked = NewKey.parse(await read_body(request, limit=MOST_BODY_BYTES))
        secret, key = key_making.new_key(**asked.model_dump())
        store = (await kept(self._app.open())).store
        await kept(store.add_key(key, digest=digest_of(secret)))
        return json_response({"key": secret, **key_making.shown(key)})

    async def listed(self, request: Request) -> Response:
        check_master(request)
        store = (await kept(self._app.open())).store
        found = await kept(store.keys(owner=request.query_params.get("owner")))
        return json_response({"object": "list", "data": [key_making.shown(key) for key in found]})

    async def info(self, request: Request) -> Response:
        check_master(request)
        named = request.query_params.get("key", "")
        (key,) = await self._found([named])
        if key is None:
            raise NotFound("There is no such key.", param="key")
        return json_response(key_making.shown(key))

    async def delete(self, request: Request) -> Response:
        """What was used with a key stays known: it is revoked, not forgotten."""
        check_master(request)
        asked = Revoked.parse(await read_body(request, limit=MOST_BODY_BYTES))
        store = (await kept(self._app.open())).store
        revoked = [
            key.id
            for key in await self._found(asked.keys)
            if key is not None and await kept(store.revoke_key(key.id, at=self._now()))
        ]
        if not revoked:
            raise NotFound("There are no such keys that still hold.", param="keys")
        return json_response({"object": "key.deleted", "deleted_keys": revoked})

    async def _found(self, named: list[str]) -> list[StoredKey | None]:
        store = (await kept(self._app.open())).store
        by_id = {key.id: key for key in await kept(store.keys())}
        return [
            await kept(store.key(digest_of(name))) if name.startswith(PREFIX) else by_id.get(name)
            for name in named
        ]
