"""Tries what users want of one client against a server: `BASE_URL` and `MODEL` are its environment.

Each wish is a coroutine function; one that fails keeps no other from being tried.
"""

import asyncio
import os
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

BASE_URL = os.environ["BASE_URL"]
MODEL = os.environ["MODEL"]
PATIENCE_S = 60

Wish = Callable[[], Awaitable[None]]


def run(*wishes: Wish) -> None:
    """A line for each, and a status of 1 where one of them failed."""
    sys.exit(1 if asyncio.run(_failures(wishes)) else 0)


async def _failures(wishes: tuple[Wish, ...]) -> int:
    failed = 0
    for wish in wishes:
        patient = asyncio.wait_for(wish(), PATIENCE_S)
        (outcome,) = await asyncio.gather(patient, return_exceptions=True)
        print("ok" if outcome is None else "FAILED", wish.__name__)
        if outcome is not None:
            traceback.print_exception(outcome, limit=-6, file=sys.stdout)
            failed += 1
    return failed


async def said(stream: AsyncIterator[Any]) -> list[Any]:
    return [event async for event in stream]
