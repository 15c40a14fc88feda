"""Both event loops that upstreams are asked on: asyncio's own, and the one that `serve` runs on."""

from typing import Any

import pytest

BOTH = [
    pytest.param("asyncio", id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
]


@pytest.fixture(params=BOTH)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param
