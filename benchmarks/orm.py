"""The same turns through SQLModel sessions: what `stores` would be if it were written plainly.

Tables and values are the store's own. On SQLite what writes begins so, and waits for its turn;
otherwise most of it would fail with "database is locked".
"""

from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from stores import Lease, NewResponse, Outcome
from stores.codec import to_micros
from stores.tables import BranchRow, ResponseRow, TurnRow


class Sessions:
    """One after another in each of its methods, as a request would open them."""

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite:"):
            address = url.replace("sqlite:", "sqlite+aiosqlite:", 1)
            options: dict[str, Any] = {"connect_args": {"timeout": 60}}
        else:
            address, options = url.replace("postgresql:", "postgresql+asyncpg:", 1), {}
        self._reading = create_async_engine(address, pool_size=10, pool_timeout=120, **options)
        self._writing = self._reading
        if url.startswith("sqlite:"):
            # One connection: several would sleep for one another.
            one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 120}
            self._writing = create_async_engine(address, **one, **options)
            _begin_by_writing(self._writing)

    async def aclose(self) -> None:
        await self._reading.dispose()
        await self._writing.dispose()

    async def history(self, id: str, *, owner: str) -> list[Any]:
        async with AsyncSession(self._reading) as session:
            found = await session.exec(
                select(ResponseRow).where(ResponseRow.id == id, ResponseRow.owner == owner)
            )
            response = found.one()
            branch: int | None = response.branch
            depth = response.depth
            turns: list[Any] = []
            while branch is not None:
                rows = await session.exec(
                    select(TurnRow)
                    .where(TurnRow.branch == branch, col(TurnRow.depth) <= depth)
                    .order_by(col(TurnRow.depth).desc())
                )
                turns += [
                    (orjson.loads(row.input), orjson.loads(row.output or b"[]")) for row in rows
                ]
                line = await session.get_one(BranchRow, branch)
                branch, depth = line.parent, line.fork or 0
            return turns[::-1]

    async def reserve(self, new: NewResponse, *, owner: str) -> bool:
        async with AsyncSession(self._writing) as session:
            parent = await session.get_one(ResponseRow, new.parent)
            place = {"branch": parent.branch, "depth": parent.depth + 1}
            session.add(TurnRow(**place, input=orjson.dumps(new.input)))
            session.add(
                ResponseRow(
                    **place,
                    id=new.id,
                    owner=owner,
                    status=new.status,
                    worker=new.lease.worker,
                    lease_until=to_micros(new.lease.until),
                    attempt=new.lease.attempt,
                    created_at=to_micros(new.created_at),
                    body=orjson.dumps(new.body),
                )
            )
            await session.commit()
        return True

    async def finish(self, id: str, outcome: Outcome, *, owner: str, lease: Lease) -> bool:
        async with AsyncSession(self._writing) as session:
            response = await session.get_one(ResponseRow, id)
            turn = await session.get_one(TurnRow, (response.branch, response.depth))
            if (response.owner, response.worker) != (owner, lease.worker):
                return False
            response.status, response.body = outcome.status, orjson.dumps(outcome.body)
            response.worker = response.lease_until = None
            turn.output = orjson.dumps(outcome.output)
            await session.commit()
        return True


def _begin_by_writing(engine: AsyncEngine) -> None:
    @sa.event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # so that the driver begins nothing by itself

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
