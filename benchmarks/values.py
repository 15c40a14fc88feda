"""Turns as a server stores them, of a size to choose, for benchmarks that ask a store directly."""

import random
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from responses_mw.ids import new_id
from stores import Lease, NewResponse, Outcome, SessionStore, StoredTurn

OWNER = "owner"
_TEXTS = 16
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def prose(size: int, seed: int) -> str:
    """Words that no compression makes nothing of."""
    chosen = random.Random(seed)
    words = ("".join(chosen.choices(_LETTERS, k=chosen.randint(2, 9))) for _ in range(size // 3))
    return " ".join(words)[:size]


def message(role: str, text: str) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "input_text", "text": text}
    if role == "assistant":
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{secrets.token_hex(16)}",
        "status": "completed",
        "role": role,
        "content": [part],
    }


class Turns:
    """New ones of `size` bytes of JSON, input and output together; with `spread`, of up to so many
    more or less."""

    def __init__(self, size: int, *, spread: int = 0) -> None:
        bare = sum(len(orjson.dumps([message(role, "")])) for role in ("user", "assistant"))
        sizes = [size + spread * (2 * seed - _TEXTS + 1) // _TEXTS for seed in range(_TEXTS)]
        self._texts = [prose(max(8, (each - bare) // 2), n) for n, each in enumerate(sizes)]

    def new(self, parent: str | None) -> NewResponse:
        now = datetime.now(UTC)
        id = new_id("resp")
        return NewResponse(
            id=id,
            body=_body(id, "in_progress"),
            input=[message("user", secrets.choice(self._texts))],
            created_at=now,
            lease=Lease("worker", now + timedelta(seconds=60)),
            parent=parent,
        )

    def outcome(self, new: NewResponse) -> Outcome:
        output = [message("assistant", secrets.choice(self._texts))]
        return Outcome("completed", _body(new.id, "completed"), output)

    @staticmethod
    def size_of(turn: StoredTurn) -> int:
        return len(orjson.dumps(turn.input)) + len(orjson.dumps(turn.output))

    async def append(self, store: SessionStore, parent: str | None) -> str:
        new = self.new(parent)
        await store.reserve(new, owner=OWNER)
        await store.finish(new.id, self.outcome(new), owner=OWNER, lease=new.lease)
        return new.id

    async def chain(self, store: SessionStore, turns: int, *, behind: str | None = None) -> str:
        """The id of its last turn."""
        for _ in range(turns):
            behind = await self.append(store, behind)
        assert behind is not None
        return behind


def _body(id: str, status: str) -> dict[str, Any]:
    """Without the output and what is usual (see `envelope.shrunk`)."""
    body = {"id": id, "created_at": 1760000000, "status": status, "model": "m"}
    if status == "completed":
        body |= {"completed_at": 1760000009, "usage": [100, 64, 0, 0, 0]}
    return body
