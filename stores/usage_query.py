"""Usage summed by anything, as one aggregate: the same query for SQLite and Postgres.

SQLAlchemy is imported here and takes its time: whoever asks does so in a thread.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, cast, exists, false, func, literal_column, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlmodel import col

from stores.accounts import Group, UsageQuery, UsageTotal
from stores.codec import EPOCH, to_micros
from stores.tables import UsageRow

Dialect = Literal["sqlite", "postgres"]

DAY = 86_400_000_000

_COLUMNS: dict[Group, Any] = {
    "owner": UsageRow.owner,
    "key": UsageRow.api_key,
    "user": UsageRow.end_user,
    "model": UsageRow.model,
    "deployment": UsageRow.deployment,
    "chain": UsageRow.chain,
    "status": UsageRow.status,
    "response": UsageRow.response,
}


def statement(query: UsageQuery, dialect: Dialect) -> tuple[str, tuple[Any, ...]]:
    """SQL and its values. A row has the groups, then what `UsageTotal` has behind them."""
    tags = _tags(dialect)
    groups = [_group(group, tags) for group in query.group_by]
    cost = func.sum(col(UsageRow.cost_nano))
    summed = [
        func.sum(column)
        for column in (
            UsageRow.input_tokens,
            UsageRow.cached_tokens,
            UsageRow.cache_write_tokens,
            UsageRow.output_tokens,
            UsageRow.reasoning_tokens,
        )
    ]
    unpriced = func.count().filter(col(UsageRow.cost_known) == false())
    built = select(*groups, func.count(), *summed, cost, unpriced).select_from(UsageRow)
    if "tag" in query.group_by:
        built = built.outerjoin(tags, true())
    for condition in _conditions(query, dialect):
        built = built.where(condition)
    places: list[Any] = [literal_column(str(n)) for n in range(1, len(groups) + 1)]
    built = built.group_by(*places).order_by(cost.desc(), func.count().desc(), *places)
    if not groups:
        built = built.having(func.count() > 0)
    return _compiled(built.limit(query.limit), dialect)


def total(query: UsageQuery, row: Any) -> UsageTotal:
    values = list(row)
    groups, numbers = values[: len(query.group_by)], values[len(query.group_by) :]
    named = zip(query.group_by, groups, strict=True)
    return UsageTotal({name: _shown(name, value) for name, value in named}, *map(int, numbers))


def _shown(group: Group, value: Any) -> str | None:
    if group == "day":
        return (EPOCH + timedelta(days=int(value))).date().isoformat()
    return None if value is None else str(value)


def _group(group: Group, tags: TableValuedAlias) -> ColumnElement[Any]:
    if group == "tag":
        return tags.c.value
    if group == "day":
        return col(UsageRow.created_at) // literal_column(str(DAY), BigInteger)
    column: ColumnElement[Any] = _COLUMNS[group]
    return column


def _conditions(query: UsageQuery, dialect: Dialect) -> list[ColumnElement[bool]]:
    found = []
    if query.start is not None:
        found.append(col(UsageRow.created_at) >= to_micros(query.start))
    if query.end is not None:
        found.append(col(UsageRow.created_at) < to_micros(query.end))
    for group, value in query.where.items():
        found.append(_is(group, value, dialect))
    return found


def _is(group: Group, value: str | None, dialect: Dialect) -> ColumnElement[bool]:
    match group:
        case "tag" if value is None:
            return col(UsageRow.tags).is_(None)
        case "tag":
            tags = _tags(dialect)
            return exists().select_from(tags).where(tags.c.value == value)
        case "day":
            start = to_micros(datetime.fromisoformat(str(value)).replace(tzinfo=UTC))
            return col(UsageRow.created_at).between(start, start + DAY - 1)
        case _:
            column = col(_COLUMNS[group])
            return column.is_(None) if value is None else column == value


def _tags(dialect: Dialect) -> TableValuedAlias:
    if dialect == "sqlite":
        return func.json_each(UsageRow.tags).table_valued("value", name="tag")
    spread = func.json_array_elements_text(cast(col(UsageRow.tags), JSON))
    return spread.table_valued("value", name="tag")


def _compiled(built: Any, dialect: Dialect) -> tuple[str, tuple[Any, ...]]:
    dialects: Any = {"sqlite": sqlite.dialect, "postgres": postgresql.asyncpg.dialect}
    compiled = built.compile(dialect=dialects[dialect]())
    return str(compiled), tuple(compiled.params[name] for name in compiled.positiontup)
