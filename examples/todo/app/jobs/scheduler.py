"""Enqueues periodic tasks, each run once, however many schedulers are running.

The row of a schedule stores the time up to which it is handled. It is updated in the
transaction that enqueues the task, and only if it still has the value that was read: of two
schedulers one succeeds, and one that crashes in between has changed nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, col, select, update

from app.db.base import Base, UtcDateTime, utc_now
from app.db.dialect import is_unavailable
from app.db.session import Database, transaction
from app.jobs.repository import JobRepository
from app.jobs.schedule import MissedRuns, Schedule, schedules
from app.outbox.background import run_repeatedly
from app.outbox.errors import error_fields

CHECK_SECONDS = 15.0
# A clock that goes back further than this had been wrong before: start again from the current time.
MAX_CLOCK_CORRECTION = timedelta(hours=25)

logger = structlog.get_logger(__name__)


class ScheduleState(Base, table=True):
    """The time up to which the runs of a schedule are handled."""

    __tablename__ = "schedule_state"

    name: str = Field(primary_key=True, max_length=200)
    handled_until: datetime = Field(sa_type=UtcDateTime)


class Scheduler:
    """Enqueues periodic tasks when they are due."""

    def __init__(
        self, database: Database, only: Sequence[Schedule] | None = None, check_seconds: float = CHECK_SECONDS
    ) -> None:
        """Handle all schedules, or only some."""
        self.database = database
        self.schedules = schedules() if only is None else only
        self.check_seconds = check_seconds

    async def run(self) -> None:
        """Enqueue due tasks until cancelled. Every error is logged and retried."""
        await run_repeatedly(
            lambda: self.run_once(utc_now()),
            failure_event="scheduler: check failed, retrying",
            retry_seconds=self.check_seconds,
        )

    async def run_once(self, now: datetime) -> float:
        """Enqueue the tasks that are due, and return the number of seconds until the next check."""
        states = await self.load_states()
        for schedule in self.schedules:
            try:
                await self._process_schedule(schedule, states.get(schedule.name), now)
            except Exception as error:
                if is_unavailable(error):
                    raise
                # It must not affect other schedules.
                logger.error("scheduler: enqueueing failed", schedule=schedule.name, **error_fields(error))  # noqa: TRY400 - the traceback must not repeat arguments
        next_run = [(schedule.next_run(now) - now).total_seconds() for schedule in self.schedules]
        return min([self.check_seconds, *next_run])

    async def load_states(self) -> dict[str, datetime]:
        """Return the time up to which each schedule is handled."""
        async with transaction(self.database.read_transaction) as session:
            return {state.name: state.handled_until for state in (await session.exec(select(ScheduleState))).all()}

    async def _process_schedule(self, schedule: Schedule, last: datetime | None, now: datetime) -> None:
        if last is None:
            await self._start_schedule(schedule, now)
        elif last > now:
            await self._handle_clock_jump(schedule, last, now)
        elif schedule.next_run(last) <= now:
            await self._enqueue_due(schedule, last, now)

    async def _start_schedule(self, schedule: Schedule, now: datetime) -> None:
        """Start a new schedule. Earlier runs do not count as missed."""
        try:
            async with transaction(self.database.write) as session:
                session.add(ScheduleState(name=schedule.name, handled_until=now))
        except IntegrityError:
            logger.debug("scheduler: schedule already created by another process", schedule=schedule.name)

    async def _enqueue_due(self, schedule: Schedule, last: datetime, now: datetime) -> None:
        times, handled_until = schedule.runs_to_enqueue(last, now)
        async with transaction(self.database.write) as session:
            unchanged = update(ScheduleState).where(
                col(ScheduleState.name) == schedule.name, col(ScheduleState.handled_until) == last
            )
            if not (await session.exec(unchanged.values(handled_until=handled_until))).rowcount:
                return  # another scheduler was faster
            if schedule.missed is not MissedRuns.EACH and await JobRepository(session).has_unfinished_job(schedule.key):
                times = []
            for time in times:
                schedule.enqueue(session, time)
        logger.debug("scheduler: jobs enqueued", schedule=schedule.name, runs=len(times))

    async def _handle_clock_jump(self, schedule: Schedule, last: datetime, now: datetime) -> None:
        """Wait until the clock catches up, so that no run is enqueued twice, unless it had been far ahead."""
        ahead = last - now
        logger.warning(
            "scheduler: system clock went back", schedule=schedule.name, seconds=round(ahead.total_seconds())
        )
        if ahead > MAX_CLOCK_CORRECTION:
            async with transaction(self.database.write) as session:
                row = update(ScheduleState).where(col(ScheduleState.name) == schedule.name)
                await session.exec(row.values(handled_until=now))
