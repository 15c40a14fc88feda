"""The official OpenAI client talking to an application in this process, without a socket."""

from typing import Any

try:
    import httpx2
    from openai import AsyncOpenAI
except ModuleNotFoundError as error:
    message = f"{error.name} is missing: tests need the official client, pip install 'openai>=3'"
    raise ModuleNotFoundError(message, name=error.name) from error

from responses_mw.app import ResponsesApp
from responses_mw.router import Provider
from responses_mw.testing.asgi import ASGIApp, InProcessTransport
from responses_mw.testing.providers import ScriptedProvider


def openai_client(
    app: ASGIApp,
    base_url: str = "http://test/v1",
    *,
    api_key: str = "test",
    max_retries: int = 0,
    lifespan: bool = False,
) -> AsyncOpenAI:
    """The path of `base_url` is where a host application serves the API; a ResponsesApp given by
    itself is mounted there.

    Nothing is retried by default, so that a test sees the first error. With `lifespan` the
    application is started by the first request and shut down when the client is closed; without it,
    both are up to whoever owns the application. Other options: `client.with_options(...)`.
    """
    mounted_at = httpx2.URL(base_url).path.rstrip("/") if isinstance(app, ResponsesApp) else ""
    transport = InProcessTransport(app, root_path=mounted_at, lifespan=lifespan)
    return AsyncOpenAI(
        base_url=base_url,
        api_key=api_key,
        max_retries=max_retries,
        http_client=httpx2.AsyncClient(transport=transport),
    )


def client_of(*given: Any, base_url: str) -> AsyncOpenAI:
    """A client of an application, of a provider, or of a scripted provider with these answers."""
    match given:
        case (Provider() as provider,):
            app: ASGIApp = ResponsesApp(store="memory://", models={"test": provider})
        case (app,) if callable(app):
            pass
        case answers:
            scripted = ScriptedProvider(*answers)
            app = ResponsesApp(store="memory://", models={"test": scripted})
    return openai_client(app, base_url, lifespan=True)
