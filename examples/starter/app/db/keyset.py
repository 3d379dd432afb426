"""Keyset pages: each begins after the last row of the one before.

Unlike OFFSET this costs the same on every page, and rows that come or go meanwhile
neither repeat nor hide others.
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

Row = TypeVar("Row", bound=Entity)


async def fetch_page(
    session: AsyncSession, query: SelectOfScalar[Row], model: type[Row], order: str, params: PageParams
) -> tuple[Sequence[Row], str | None]:
    """Fetch one page of `query`.

    Args:
        session: Where to ask.
        query: What to list, filtered and not yet ordered.
        model: The table it lists.
        order: Name of the ordering column, with `-` in front for descending; the id decides ties.
        params: Which page, and how long.

    Returns:
        The rows, and the cursor of the next page if there is one.

    Raises:
        InvalidCursor: If the cursor is broken or belongs to another order.
    """
    name, descending = order.removeprefix("-"), order.startswith("-")
    columns = (col(getattr(model, name)), col(model.id))
    if params.cursor is not None:
        place, after = tuple_(*columns), _place_after(columns, order, params.cursor)
        query = query.where(place < after if descending else place > after)
    ordering = [column.desc() if descending else column.asc() for column in columns]
    rows = (await session.exec(query.order_by(*ordering).limit(params.limit + 1))).all()
    if len(rows) <= params.limit:
        return rows, None
    last = rows[params.limit - 1]
    return rows[:-1], str(Cursor(order, _text(getattr(last, name)), str(last.id)))


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _place_after(columns: tuple[Any, Any], order: str, text: str) -> Any:
    """Read the place a cursor stands for, typed as the columns are."""
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
