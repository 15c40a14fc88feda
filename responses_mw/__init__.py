"""The Responses API for any Starlette or FastAPI application, over any model provider."""
