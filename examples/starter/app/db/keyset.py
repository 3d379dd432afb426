"""Keyset pagination: each page starts after the last row of the previous page.

Unlike with OFFSET, every page costs the same, and rows that are inserted or deleted between
two requests cause no duplicates or gaps.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import tuple_
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from app.core.pagination import Cursor, InvalidCursor, PageParams
from app.db.base import Entity, UtcDateTime

EntityT = TypeVar("EntityT", bound=Entity)
Row = dict[str, Any]
"""A row as a mapping of column names to values."""


async def fetch_page(
    session: AsyncSession, query: SelectOfScalar[EntityT], model: type[EntityT], order: str, params: PageParams
) -> tuple[Sequence[EntityT], str | None]:
    """Fetch one page of `query` as entities. Use `fetch_rows` for lists that are requested often.

    Args:
        session: The database session.
        query: The query, filtered but not ordered.
        model: The table of the query.
        order: Name of the sort column, prefixed with `-` for descending order. The id breaks ties.
        params: Page size and cursor.

    Returns:
        The entities, and the cursor of the next page, if there is one.

    Raises:
        InvalidCursor: If the cursor is malformed or belongs to another sort order.
    """
    entities = (await session.exec(_page_query(query, model, order, params))).all()
    if len(entities) <= params.limit:
        return entities, None
    last = entities[params.limit - 1]
    return entities[:-1], _cursor(order, getattr(last, order.removeprefix("-")), last.id)


async def fetch_rows(
    session: AsyncSession, query: SelectOfScalar[EntityT], model: type[EntityT], order: str, params: PageParams
) -> tuple[Sequence[Row], str | None]:
    """Fetch one page of `query` as rows, with at most half the CPU time of `fetch_page`.

    The rows are dicts without the methods of the model, and changes that the session has not flushed are not visible.

    Arguments and exceptions are those of `fetch_page`; the items are rows instead of entities.
    """
    result = await (await session.connection()).execute(_page_query(query, model, order, params))
    names = tuple(result.keys())
    rows = [dict(zip(names, row, strict=True)) for row in result]
    if len(rows) <= params.limit:
        return rows, None
    last = rows[params.limit - 1]
    return rows[:-1], _cursor(order, last[order.removeprefix("-")], last["id"])


def _page_query(
    query: SelectOfScalar[EntityT], model: type[EntityT], order: str, params: PageParams
) -> SelectOfScalar[EntityT]:
    """Sort the query, start after the cursor, and fetch one extra row to detect whether there is a next page."""
    descending = order.startswith("-")
    columns = (col(getattr(model, order.removeprefix("-"))), col(model.id))
    if params.cursor is not None:
        position, after = tuple_(*columns), _parse_position(columns, order, params.cursor)
        query = query.where(position < after if descending else position > after)
    ordering = [column.desc() if descending else column.asc() for column in columns]
    return query.order_by(*ordering).limit(params.limit + 1)


def _cursor(order: str, value: Any, id_: UUID) -> str:
    return str(Cursor(order, value.isoformat() if isinstance(value, datetime) else str(value), str(id_)))


def _parse_position(columns: tuple[Any, Any], order: str, text: str) -> Any:
    """Parse a cursor to values with the types of the columns."""
    cursor = Cursor.parse(text)
    if cursor.order != order:
        raise InvalidCursor
    value: Any = cursor.value
    try:
        if isinstance(columns[0].type, UtcDateTime):
            value = datetime.fromisoformat(cursor.value).replace(tzinfo=UTC)
        return tuple_(value, UUID(cursor.id), types=[column.type for column in columns])
    except ValueError:
        raise InvalidCursor from None
