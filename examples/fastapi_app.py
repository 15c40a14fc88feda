"""The Responses API inside a FastAPI application that knows its own users.

uvicorn fastapi_app:app
curl localhost:8000/v1/responses -H 'Authorization: Bearer ann-key' \
     -H 'Content-Type: application/json' -d '{"model": "echo", "input": "Hello"}'
"""

from fastapi import FastAPI, Request

from responses_mw import ResponsesApp
from responses_mw.testing import EchoProvider

USERS = {"ann-key": "ann", "bob-key": "bob"}


def owner(request: Request) -> str | None:
    """Whose conversations a request may touch. None is a 401."""
    return USERS.get(request.headers.get("authorization", "").removeprefix("Bearer "))


responses = ResponsesApp(
    store="sqlite:///conversations.db",
    models={"echo": EchoProvider()},  # answers with the history it was sent
    owner=owner,
)
app = FastAPI(lifespan=responses.lifespan)
app.mount("/v1", responses)
