"""The routes `/key/...`: virtual keys, in the hands of whoever has the master key."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from responses_mw import key_changing, key_making
from responses_mw.errors import NotFound
from responses_mw.http import json_response, read_body
from responses_mw.key_schema import ChangedKey, NamedKey, NewKey, Revoked
from responses_mw.keys import check_master, digest_of
from responses_mw.preparation import kept
from responses_mw.runtime import Runtime
from stores.accounts import StoredKey

MOST_BODY_BYTES = 1024 * 1024


class Application(Protocol):
    async def open(self) -> Runtime: ...


class KeyRoutes:
    """`owner` raises Unauthorized for a stranger."""

    def __init__(
        self, app: Application, *, owner: Callable[[HTTPConnection], Awaitable[str]]
    ) -> None:
        self._app = app
        self._owner = owner

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/key/generate", self.generate, methods=["POST"]),
            Route("/key/list", self.listed, methods=["GET"]),
            Route("/key/info", self.info, methods=["GET"]),
            Route("/key/update", self.update, methods=["POST"]),
            Route("/key/block", self.block, methods=["POST"]),
            Route("/key/unblock", self.unblock, methods=["POST"]),
            Route("/key/delete", self.delete, methods=["POST"]),
        ]

    async def generate(self, request: Request) -> Response:
        await self._check(request)
        asked = NewKey.parse(await read_body(request, limit=MOST_BODY_BYTES))
        secret, key = key_making.new_key(**asked.model_dump())
        store = (await kept(self._app.open())).store
        await kept(store.add_key(key, digest=digest_of(secret)))
        return json_response({"key": secret, **key_making.shown(key)})

    async def listed(self, request: Request) -> Response:
        await self._check(request)
        store = (await kept(self._app.open())).store
        found = await kept(store.keys(owner=request.query_params.get("owner")))
        return json_response({"object": "list", "data": [key_making.shown(key) for key in found]})

    async def info(self, request: Request) -> Response:
        await self._check(request)
        named = request.query_params.get("key", "")
        key = await self._found(named)
        if key is None:
            raise NotFound("There is no such key.", param="key")
        return json_response(key_making.shown(key))

    async def update(self, request: Request) -> Response:
        await self._check(request)
        asked = ChangedKey.parse(await read_body(request, limit=MOST_BODY_BYTES))
        store = (await kept(self._app.open())).store
        key = await kept(key_changing.change(store, asked.key, asked.changes()))
        return json_response(key_making.shown(key))

    async def block(self, request: Request) -> Response:
        return await self._block(request, blocked=True)

    async def unblock(self, request: Request) -> Response:
        return await self._block(request, blocked=False)

    async def _block(self, request: Request, *, blocked: bool) -> Response:
        await self._check(request)
        asked = NamedKey.parse(await read_body(request, limit=MOST_BODY_BYTES))
        store = (await kept(self._app.open())).store
        key = await kept(key_changing.block(store, asked.key, blocked=blocked))
        return json_response(key_making.shown(key))

    async def delete(self, request: Request) -> Response:
        """What was used with a key stays known: it is revoked, not forgotten."""
        await self._check(request)
        asked = Revoked.parse(await read_body(request, limit=MOST_BODY_BYTES))
        store = (await kept(self._app.open())).store
        found = [await self._found(named) for named in asked.keys]
        revoked = [
            key.id
            for key in found
            if key is not None and await kept(store.revoke_key(key.id, at=datetime.now(UTC)))
        ]
        if not revoked:
            raise NotFound("There are no such keys that still hold.", param="keys")
        return json_response({"object": "key.deleted", "deleted_keys": revoked})

    async def _check(self, request: Request) -> None:
        await self._owner(request)
        check_master(request)

    async def _found(self, named: str) -> StoredKey | None:
        store = (await kept(self._app.open())).store
        return await kept(key_changing.found(store, named))
