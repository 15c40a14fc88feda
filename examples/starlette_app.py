"""The Responses API inside a Starlette application: its logged-in users own their conversations.

uvicorn starlette_app:app
curl localhost:8000/api/v1/responses -H 'Authorization: Bearer ann-key' \
     -H 'Content-Type: application/json' -d '{"model": "echo", "input": "Hello"}'
"""

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from responses_mw import ResponsesApp
from responses_mw.testing import EchoProvider

USERS = {"Bearer ann-key": "ann", "Bearer bob-key": "bob"}


class User(SimpleUser):
    @property
    def identity(self) -> str:
        """What the Responses API takes for the owner."""
        return self.username


class ByKey(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, User] | None:
        name = USERS.get(conn.headers.get("authorization", ""))
        return None if name is None else (AuthCredentials(["authenticated"]), User(name))


def owner(request: HTTPConnection) -> str | None:
    """Without this, all who are not logged in would share one owner. None is a 401."""
    return request.user.identity if request.user.is_authenticated else None


async def whoami(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.user.display_name or "nobody")


responses = ResponsesApp(store="memory://", models={"echo": EchoProvider()}, owner=owner)
app = Starlette(
    routes=[Route("/", whoami), Mount("/api/v1", responses)],
    middleware=[Middleware(AuthenticationMiddleware, backend=ByKey())],
    lifespan=responses.lifespan,
)
