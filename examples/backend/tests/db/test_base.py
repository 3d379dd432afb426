"""Base classes of tables."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import StatementError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import Base, UtcDateTime
from app.modules.user.models import User


async def test_timestamps_are_returned_in_utc(session: AsyncSession) -> None:
    moment = datetime(2030, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    session.add(User(email="ada@example.com", name="Ada", created_at=moment))
    await session.flush()

    [read] = (await session.exec(select(col(User.created_at)))).all()
    assert read == moment
    assert read.tzinfo is UTC


def test_missing_time_zone_is_added() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    assert UtcDateTime().process_result_value(moment.replace(tzinfo=None), sqlite.dialect()) == moment


async def test_naive_datetime_is_rejected(session: AsyncSession) -> None:
    session.add(User(email="ada@example.com", name="Ada", created_at=datetime(2030, 1, 1)))  # noqa: DTZ001
    with pytest.raises(StatementError, match="has no time zone"):
        await session.flush()


def test_all_constraints_are_named() -> None:
    unnamed = [
        (table.name, type(constraint).__name__)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if not constraint.name
    ]
    assert unnamed == []
