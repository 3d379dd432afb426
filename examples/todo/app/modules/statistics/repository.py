"""How counts are found and kept."""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import Date, bindparam, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.modules.statistics.models import DailyCount

# Two consumers may be the first of a day. SQLAlchemy has this statement for each database anew; it is the same for both.
COUNT = text(
    "INSERT INTO daily_count (day, type, count) VALUES (:day, :type, :count) "
    "ON CONFLICT (day, type) DO UPDATE SET count = daily_count.count + excluded.count"
).bindparams(bindparam("day", type_=Date()))


class StatisticsRepository:
    """The counts in the database."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    async def add(self, day: dt.date, type: str, count: int) -> None:  # noqa: A002 - what its column is called
        """Count something on a day."""
        connection = await self.session.connection()
        await connection.execute(COUNT, {"day": day, "type": type, "count": count})

    async def since(self, day: dt.date) -> Sequence[DailyCount]:
        """List the counts from a day on, the newest first."""
        query = select(DailyCount).where(col(DailyCount.day) >= day)
        return (await self.session.exec(query.order_by(col(DailyCount.day).desc(), col(DailyCount.type)))).all()
