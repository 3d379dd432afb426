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

Thing = TypeVar("Thing", bound=Entity)
Row = dict[str, Any]
"""A row that is only shown: its columns by name."""


async def fetch_page(
    session: AsyncSession, query: SelectOfScalar[Thing], model: type[Thing], order: str, params: PageParams
) -> tuple[Sequence[Thing], str | None]:
    """Fetch one page of `query`.

    Args:
        session: Where to ask.
        query: What to list, filtered and not yet ordered.
        model: The table it lists.
        order: Name of the ordering column, with `-` in front for descending; the id decides ties.
        params: Which page, and how long.

    Returns:
        The things, and the cursor of the next page if there is one.

    Raises:
        InvalidCursor: If the cursor is broken or belongs to another order.
    """
    things = (await session.exec(_page(query, model, order, params))).all()
    if len(things) <= params.limit:
        return things, None
    last = things[params.limit - 1]
    return things[:-1], _cursor(order, getattr(last, order.removeprefix("-")), last.id)


async def fetch_rows(
    session: AsyncSession, query: SelectOfScalar[Thing], model: type[Thing], order: str, params: PageParams
) -> tuple[Sequence[Row], str | None]:
    """Fetch one page of `query` as rows, for a list that is only shown and is asked for often.

    A hundred entities cost twice the CPU of a hundred rows, and more than twice to make an answer of them. What the session
    has not flushed is not seen.

    Args, returns and raises: as `fetch_page`, but for what is returned.
    """
    result = await (await session.connection()).execute(_page(query, model, order, params))
    names = tuple(result.keys())
    rows = [dict(zip(names, row, strict=True)) for row in result]
    if len(rows) <= params.limit:
        return rows, None
    last = rows[params.limit - 1]
    return rows[:-1], _cursor(order, last[order.removeprefix("-")], last["id"])


def _page(query: SelectOfScalar[Thing], model: type[Thing], order: str, params: PageParams) -> SelectOfScalar[Thing]:
    """Order the query, begin after the cursor, and ask for one more than the page has: it tells whether there is a next."""
    descending = order.startswith("-")
    columns = (col(getattr(model, order.removeprefix("-"))), col(model.id))
    if params.cursor is not None:
        place, after = tuple_(*columns), _place_after(columns, order, params.cursor)
        query = query.where(place < after if descending else place > after)
    ordering = [column.desc() if descending else column.asc() for column in columns]
    return query.order_by(*ordering).limit(params.limit + 1)


def _cursor(order: str, value: Any, id_: UUID) -> str:
    """Write down the place of a page's last row."""
    return str(Cursor(order, value.isoformat() if isinstance(value, datetime) else str(value), str(id_)))


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
