"""Keyset pagination of entities and rows."""

import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.pagination import PageParams
from app.db.keyset import fetch_page, fetch_rows
from app.modules.user.models import User


@pytest.mark.parametrize("order", ["email", "-email", "created_at", "-created_at"])
async def test_rows_equal_entities(session: AsyncSession, order: str) -> None:
    session.add_all(User(email=f"{name}@example.com", name=name) for name in ("ada", "grace", "joan"))
    await session.flush()

    cursor, lengths = None, []
    for _ in range(2):
        params = PageParams(limit=2, cursor=cursor)
        rows, cursor = await fetch_rows(session, select(User), User, order, params)
        entities, same = await fetch_page(session, select(User), User, order, params)
        assert rows == [entity.model_dump() for entity in entities]
        assert cursor == same
        lengths.append(len(rows))
    assert (lengths, cursor) == ([2, 1], None)
