"""What is counted."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.modules.statistics.models import DailyCount
from app.modules.statistics.repository import StatisticsRepository


class StatisticsService:
    """The rules about counting."""

    def __init__(self, session: AsyncSession, statistics: StatisticsRepository | None = None) -> None:
        """Work inside the transaction of `session`; tests may bring a repository of their own."""
        self.statistics = statistics or StatisticsRepository(session)

    async def count(self, happened: Iterable[tuple[dt.datetime, str]]) -> None:
        """Count what happened, and when, by days in UTC."""
        days = Counter((moment.astimezone(dt.UTC).date(), what) for moment, what in happened)
        for (day, what), count in sorted(days.items()):
            await self.statistics.add(day, what, count)

    async def since(self, days: int) -> Sequence[DailyCount]:
        """List the counts of so many days, today included."""
        return await self.statistics.since(utc_now().date() - dt.timedelta(days=days - 1))
