"""Queries for daily counts."""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Date, bindparam, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.statistics.models import DailyCount

# An upsert, because two consumers may insert the first count of a day concurrently. Written as text, because SQLAlchemy
# has a separate construct for each database, although the SQL is the same for both.
INCREMENT_COUNT = text(
    "INSERT INTO daily_count (day, type, count) VALUES (:day, :type, :count) "
    "ON CONFLICT (day, type) DO UPDATE SET count = daily_count.count + excluded.count"
).bindparams(bindparam("day", type_=Date()))


class StatisticsRepository:
    """Queries for daily counts."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, day: dt.date, type: str, count: int) -> None:  # noqa: A002 - the name of the column
        """Add to the count of an event type on a day."""
        connection = await self.session.connection()
        await connection.execute(INCREMENT_COUNT, {"day": day, "type": type, "count": count})

    async def since(self, day: dt.date) -> Sequence[DailyCount]:
        """Return the counts since a day, newest first."""
        query = select(DailyCount).where(col(DailyCount.day) >= day)
        return (await self.session.exec(query.order_by(col(DailyCount.day).desc(), col(DailyCount.type)))).all()
