"""Business rules for statistics."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.modules.statistics.models import DailyCount
from app.modules.statistics.repository import StatisticsRepository


class StatisticsService:
    """Business rules for statistics."""

    def __init__(self, session: AsyncSession, statistics: StatisticsRepository | None = None) -> None:
        self.statistics = statistics or StatisticsRepository(session)

    async def count(self, events: Iterable[tuple[dt.datetime, str]]) -> None:
        """Count events, given their timestamps and types, by UTC day and type."""
        days = Counter((timestamp.astimezone(dt.UTC).date(), type_) for timestamp, type_ in events)
        for (day, type_), count in sorted(days.items()):
            await self.statistics.add(day, type_, count)

    async def since(self, days: int) -> Sequence[DailyCount]:
        """Return the counts of the last `days` days, including today."""
        return await self.statistics.since(utc_now().date() - dt.timedelta(days=days - 1))
