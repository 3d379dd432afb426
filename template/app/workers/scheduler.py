"""Enqueues periodic tasks, each run once, however many schedulers are running.

The row of a schedule stores the time up to which it is handled. It is updated in the
transaction that enqueues the task, and only if it still has the value that was read: of two
schedulers one succeeds, and one that crashes in between has changed nothing.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import col, select, update

from app.db.base import utc_now
from app.db.session import Database, transaction
from app.outbox.background import going_on, to_its_end
from app.outbox.failures import said, traced
from app.workers.models import ScheduleTick
from app.workers.repository import JobRepository
from app.workers.schedule import Missed, Schedule, schedules

LOOK_SECONDS = 15.0
# A clock that goes back further than this had been wrong before: start again from the current time.
BELIEVABLE = timedelta(hours=25)

logger = structlog.get_logger(__name__)


class Scheduler:
    """Enqueues periodic tasks when they are due."""

    def __init__(
        self, database: Database, todo: Sequence[Schedule] | None = None, look_seconds: float = LOOK_SECONDS
    ) -> None:
        """Handle all schedules, or only those of `todo`."""
        self.database = database
        self.schedules = schedules() if todo is None else todo
        self.look_seconds = look_seconds

    async def run(self) -> None:
        """Enqueue due tasks until cancelled. Every error is logged and retried."""
        while True:
            try:
                pause = await to_its_end(self.run_once(utc_now()))
            except (SQLAlchemyError, OSError) as error:
                pause = self.look_seconds
                logger.warning("scheduler: database unavailable, retrying", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the scheduler survives any error
                pause = self.look_seconds
                logger.error("scheduler: check failed, retrying", error=said(error), exception=traced(error))  # noqa: TRY400
            await asyncio.sleep(pause)

    async def run_once(self, now: datetime) -> float:
        """Enqueue the tasks that are due, and return the number of seconds until the next check."""
        ticks = await self.ticks()
        for schedule in self.schedules:
            try:
                await self._see_to(schedule, ticks.get(schedule.name), now)
            except (SQLAlchemyError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - it must not affect other schedules
                logger.error(  # noqa: TRY400 - the traceback must not repeat arguments
                    "scheduler: enqueueing failed", schedule=schedule.name, error=said(error), exception=traced(error)
                )
        following = [(schedule.following(now) - now).total_seconds() for schedule in self.schedules]
        return min([self.look_seconds, *following])

    async def ticks(self) -> dict[str, datetime]:
        """Return the time up to which each schedule is handled."""
        async with transaction(self.database.readers) as session:
            return {tick.name: tick.last for tick in (await session.exec(select(ScheduleTick))).all()}

    async def _see_to(self, schedule: Schedule, last: datetime | None, now: datetime) -> None:
        if last is None:
            await self._begin(schedule, now)
        elif last > now:
            await self._back_in_time(schedule, last, now)
        elif schedule.following(last) <= now:
            await self._fire(schedule, last, now)

    async def _begin(self, schedule: Schedule, now: datetime) -> None:
        """Start a new schedule. Earlier runs do not count as missed."""
        try:
            async with transaction(self.database.writers) as session:
                session.add(ScheduleTick(name=schedule.name, last=now))
        except IntegrityError:
            logger.debug("scheduler: schedule already created by another process", schedule=schedule.name)

    async def _fire(self, schedule: Schedule, last: datetime, now: datetime) -> None:
        times, seen_to = schedule.owed(last, now)
        async with transaction(self.database.writers) as session:
            row = update(ScheduleTick).where(col(ScheduleTick.name) == schedule.name, col(ScheduleTick.last) == last)
            if not (await session.exec(row.values(last=seen_to))).rowcount:
                return
            if schedule.missed is not Missed.EACH and await JobRepository(session).unfinished(schedule.key):
                times = []
            for time in times:
                schedule.enqueue(session, time)
        logger.debug("scheduler: jobs enqueued", schedule=schedule.name, times=len(times))

    async def _back_in_time(self, schedule: Schedule, last: datetime, now: datetime) -> None:
        """Wait until the clock catches up, so that no run is enqueued twice, unless it had been far ahead."""
        ahead = last - now
        logger.warning(
            "scheduler: system clock went back", schedule=schedule.name, seconds=round(ahead.total_seconds())
        )
        if ahead > BELIEVABLE:
            async with transaction(self.database.writers) as session:
                row = update(ScheduleTick).where(col(ScheduleTick.name) == schedule.name)
                await session.exec(row.values(last=now))


def scheduling(scheduler: Scheduler) -> AbstractAsyncContextManager[None]:
    """Run a scheduler in the background of the block."""
    return going_on(scheduler.run())
