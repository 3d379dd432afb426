"""Counting by day in UTC and event type."""

from datetime import UTC, datetime, timedelta, timezone

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.modules.statistics.service import StatisticsService

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


async def daily_counts(session: AsyncSession, days: int = 366) -> list[tuple[str, str, int]]:
    return [(f"{row.day}", row.type, row.count) for row in await StatisticsService(session).since(days)]


async def test_events_are_counted_by_day_and_type(session: AsyncSession) -> None:
    service = StatisticsService(session)
    await service.count([(NOON, "Opened"), (NOON, "Closed"), (NOON + timedelta(days=1), "Opened"), (NOON, "Opened")])
    await service.count([(NOON, "Opened")])

    assert await daily_counts(session) == [
        ("2030-02-01", "Opened", 1),
        ("2030-01-31", "Closed", 1),
        ("2030-01-31", "Opened", 3),
    ]


async def test_days_are_in_utc(session: AsyncSession) -> None:
    late = datetime(2030, 1, 31, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    await StatisticsService(session).count([(late, "Opened")])

    assert await daily_counts(session) == [("2030-02-01", "Opened", 1)]


async def test_empty_batch_counts_nothing(session: AsyncSession) -> None:
    await StatisticsService(session).count([])
    assert await daily_counts(session) == []


async def test_days_include_today(session: AsyncSession) -> None:
    now = utc_now()
    await StatisticsService(session).count([(now - timedelta(days=days), "Opened") for days in range(3)])

    assert len(await daily_counts(session, days=1)) == 1
    assert len(await daily_counts(session, days=2)) == 2
