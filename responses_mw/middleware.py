"""The same application wrapped around a host's: it claims its own paths, the host keeps all
others."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from responses_mw.app import ResponsesApp

_CLAIMED = ("/responses", "/conversations")


class ResponsesMiddleware:
    """`app.add_middleware(ResponsesMiddleware, responses=responses, prefix="/v1")`.

    It opens with the host's lifespan and closes after it, and opens lazily where the host has none.
    """

    def __init__(self, app: ASGIApp, *, responses: ResponsesApp, prefix: str = "/v1") -> None:
        self._app = app
        self._responses = responses
        self._prefix = prefix.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._with_lifespan(send))
        elif self._claims(scope):
            await self._responses(self._below_prefix(scope), receive, send)
        else:
            await self._app(scope, receive, send)

    def _claims(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if not path.startswith(self._prefix):
            return False
        rest = path[len(self._prefix) :]
        return any(rest == name or rest.startswith(name + "/") for name in _CLAIMED)

    def _below_prefix(self, scope: Scope) -> Scope:
        before, path = scope.get("root_path", ""), scope["path"]
        root = before + self._prefix
        # FastAPI(root_path=...) behind a proxy that takes it off: routes find paths without it.
        path = path if path.startswith(root) else before + path
        return {**scope, "path": path, "root_path": root, "app_root_path": root}

    def _with_lifespan(self, send: Send) -> Send:
        async def wrapped(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._responses.open()
            elif message["type"].startswith("lifespan.shutdown"):
                await self._responses.aclose()
            await send(message)

        return wrapped
