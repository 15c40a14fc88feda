"""What everything is compared to: a proxy that sends the same bytes on and understands none.

It has the same parts as the server under test (Starlette, httpx over aiohttp, uvicorn with uvloop
and httptools) and nothing else. Run as a process of its own with the upstream's address.
"""

import contextlib
import socket
import sys
from collections.abc import AsyncIterator

import aiohttp
import httpx
import uvicorn
from httpx_aiohttp import AiohttpTransport
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def application(upstream: str) -> Starlette:
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    transport = AiohttpTransport(client=session)
    client = httpx.AsyncClient(transport=transport, base_url=upstream, timeout=60)

    async def forward(request: Request) -> Response:
        body = await request.body()
        headers = {"content-type": "application/json"}
        asked = client.build_request("POST", request.url.path, content=body, headers=headers)
        answer = await client.send(asked, stream=True)
        content_type = answer.headers["content-type"]
        if content_type != "text/event-stream":
            content = await answer.aread()
            return Response(content, answer.status_code, media_type=content_type)
        return StreamingResponse(
            answer.aiter_raw(),
            answer.status_code,
            media_type=content_type,
            background=BackgroundTask(answer.aclose),
        )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    routes = [Route("/{path:path}", forward, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


def main(upstream: str) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        application(upstream),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(sys.argv[1])
