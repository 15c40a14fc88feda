"""A provider of your own: Python code that answers turns, behind the whole API.

uvicorn own_provider:app        or, in a configuration file: model: python/own_provider:Librarian
curl localhost:8000/v1/responses \
     -H 'Content-Type: application/json' -d '{"model": "librarian", "input": "whale"}'
"""

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.routing import Mount

from responses_mw import Delta, ResponsesApp, Turn
from responses_mw.deltas import Stopped, TextDelta, UsageReported

SHELF = {"whale": "Moby-Dick", "wind": "Don Quixote", "island": "Robinson Crusoe"}


class Librarian:
    """Only says things: ids, events, storage and errors are the application's."""

    async def stream(self, turn: Turn) -> AsyncIterator[Delta]:
        asked = [text_of(item) for item in turn.items if item.get("role") == "user"]
        question = asked[-1].lower() if asked else ""
        found = [title for word, title in SHELF.items() if word in question]
        answer = f"Question {len(asked)}: {', '.join(found) or 'nothing on the shelf'}."
        for word in answer.split(" "):
            yield TextDelta(word + " ")
        yield UsageReported(input_tokens=len(asked), output_tokens=len(answer.split()))
        yield Stopped()


def text_of(item: dict) -> str:
    return " ".join(part.get("text", "") for part in item["content"])


responses = ResponsesApp(store="memory://", models={"librarian": Librarian()})
app = Starlette(routes=[Mount("/v1", responses)], lifespan=responses.lifespan)
