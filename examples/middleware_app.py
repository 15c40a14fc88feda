"""The Responses API wrapped around an application that keeps every other path, under /v1 too.

uvicorn middleware_app:app
curl localhost:8000/v1/models
curl localhost:8000/v1/responses \
     -H 'Content-Type: application/json' -d '{"model": "echo", "input": "Hello"}'
"""

from fastapi import FastAPI

from responses_mw import ResponsesApp, ResponsesMiddleware
from responses_mw.testing import EchoProvider

responses = ResponsesApp(store="sqlite:///conversations.db", models={"echo": EchoProvider()})

app = FastAPI()
app.add_middleware(ResponsesMiddleware, responses=responses, prefix="/v1")


@app.get("/v1/models")
async def models() -> dict[str, list[str]]:
    return {"models": responses.models}
