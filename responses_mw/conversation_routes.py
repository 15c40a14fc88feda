"""The routes of conversations and of their items."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from responses_mw.conversation_schema import ConversationUpdate, NewConversation, NewItems
from responses_mw.conversations import Conversations
from responses_mw.http import descending, include, json_response, limit, read_body
from responses_mw.included import shown
from responses_mw.routes import Entrance


class ConversationRoutes:
    def __init__(self, entrance: Entrance, *, max_body_bytes: int) -> None:
        self._entrance = entrance
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[BaseRoute]:
        one, items = "/conversations/{id}", "/conversations/{id}/items"
        return [
            Route("/conversations", self.create, methods=["POST"]),
            Route(one, self.get, methods=["GET"]),
            Route(one, self.update, methods=["POST"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(items, self.list_items, methods=["GET"]),
            Route(items, self.add_items, methods=["POST"]),
            Route(items + "/{item_id}", self.get_item, methods=["GET"]),
            Route(items + "/{item_id}", self.delete_item, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        conversations = await self._conversations(request)
        asked = NewConversation.parse(await self._body(request) or b"{}")
        return json_response(await conversations.create(asked.metadata, asked.items))

    async def get(self, request: Request) -> Response:
        conversations = await self._conversations(request)
        return json_response(await conversations.get(request.path_params["id"]))

    async def update(self, request: Request) -> Response:
        conversations = await self._conversations(request)
        asked = ConversationUpdate.parse(await self._body(request))
        id = request.path_params["id"]
        return json_response(await conversations.update(id, asked.metadata))

    async def delete(self, request: Request) -> Response:
        conversations = await self._conversations(request)
        return json_response(await conversations.delete(request.path_params["id"]))

    async def list_items(self, request: Request) -> Response:
        conversations = await self._conversations(request)
        query = request.query_params
        page = await conversations.items(
            request.path_params["id"],
            limit=limit(query.get("limit", "20")),
            descending=descending(query.get("order", "desc")),
            after=query.get("after"),
        )
        return json_response({**page, "data": shown(page["data"], include(query))})

    async def add_items(self, request: Request) -> Response:
        conversations = await self._conversations(request)
        asked = NewItems.parse(await self._body(request))
        asked_for = include(request.query_params)
        page = await conversations.add(request.path_params["id"], asked.items)
        return json_response({**page, "data": shown(page["data"], asked_for)})

    async def get_item(self, request: Request) -> Response:
        conversations = await self._conversations(request)
        item = await conversations.item(**request.path_params)
        return json_response(shown([item], include(request.query_params))[0])

    async def delete_item(self, request: Request) -> Response:
        conversations = await self._conversations(request)
        return json_response(await conversations.hide(**request.path_params))

    async def _conversations(self, request: Request) -> Conversations:
        service, owner = await self._entrance(request)
        return Conversations(service.runtime, owner)

    async def _body(self, request: Request) -> bytes:
        return await read_body(request, limit=self._max_body_bytes)
