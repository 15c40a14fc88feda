"""The pytest plugin: one fixture.

pytest loads this at every start, so it imports nothing of the project until the fixture is used.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from openai import AsyncOpenAI


@pytest.fixture
def responses_client() -> "Callable[..., AsyncOpenAI]":
    """Makes official clients of an application, a provider, or a provider's scripted answers.

        async with responses_client("Hello!") as client:
            answer = await client.responses.create(model="test", input="Hi")

    For an application of yours, `base_url=` says where it serves the API. A provider, or answers
    for a scripted one, become the model `test` of a ResponsesApp with a MemoryStore. Either is
    started by the first request and shut down with the client.
    """

    def make(*given: Any, base_url: str = "http://test/v1") -> "AsyncOpenAI":
        from responses_mw.testing.client import client_of

        return client_of(*given, base_url=base_url)

    return make
