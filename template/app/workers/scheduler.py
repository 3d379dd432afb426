"""The scheduler: enqueues what is due, each time once, however many schedulers there are.

The row of a schedule says up to when it was seen to. It is changed in the transaction
that enqueues the task, and only if it still says what was read: of two schedulers one
succeeds, and one that dies in between has changed nothing.
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
# The clock may be set back by hand or by the network. Further than that, it was wrong before.
BELIEVABLE = timedelta(hours=25)

logger = structlog.get_logger(__name__)


class Scheduler:
    """Enqueues tasks when their time has come."""

    def __init__(
        self, database: Database, todo: Sequence[Schedule] | None = None, look_seconds: float = LOOK_SECONDS
    ) -> None:
        """See to all schedules, or to some."""
        self.database = database
        self.schedules = schedules() if todo is None else todo
        self.look_seconds = look_seconds

    async def run(self) -> None:
        """Look at the clock until it is cancelled."""
        while True:
            try:
                pause = await to_its_end(self.run_once(utc_now()))
            except (SQLAlchemyError, OSError) as error:
                pause = self.look_seconds
                logger.warning("schedule: the database is away, waiting", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - it outlives any error
                pause = self.look_seconds
                logger.error("schedule: not seen to, waiting", error=said(error), exception=traced(error))  # noqa: TRY400
            await asyncio.sleep(pause)

    async def run_once(self, now: datetime) -> float:
        """Enqueue what is due, and return for how many seconds nothing will be."""
        ticks = await self.ticks()
        for schedule in self.schedules:
            try:
                await self._see_to(schedule, ticks.get(schedule.name), now)
            except (SQLAlchemyError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - the others have their times too
                logger.error(  # noqa: TRY400 - the traceback must not repeat arguments
                    "schedule: not enqueued", schedule=schedule.name, error=said(error), exception=traced(error)
                )
        following = [(schedule.following(now) - now).total_seconds() for schedule in self.schedules]
        return min([self.look_seconds, *following])

    async def ticks(self) -> dict[str, datetime]:
        """Return up to when each schedule was seen to."""
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
        """Begin with a new schedule: what was before is nobody's business."""
        try:
            async with transaction(self.database.writers) as session:
                session.add(ScheduleTick(name=schedule.name, last=now))
        except IntegrityError:
            logger.debug("schedule: another scheduler was faster", schedule=schedule.name)

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
        logger.debug("schedule: due", schedule=schedule.name, times=len(times))

    async def _back_in_time(self, schedule: Schedule, last: datetime, now: datetime) -> None:
        """Never do twice what was due once: wait, unless the clock was far ahead before."""
        ahead = last - now
        logger.warning("schedule: the clock went back", schedule=schedule.name, seconds=round(ahead.total_seconds()))
        if ahead > BELIEVABLE:
            async with transaction(self.database.writers) as session:
                row = update(ScheduleTick).where(col(ScheduleTick.name) == schedule.name)
                await session.exec(row.values(last=now))


def scheduling(scheduler: Scheduler) -> AbstractAsyncContextManager[None]:
    """Run a scheduler while the block runs."""
    return going_on(scheduler.run())
