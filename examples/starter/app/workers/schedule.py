"""The schedule: tasks that are done at certain times.

    @periodic("17 3 * * *", missed=Missed.ONCE)
    @task()
    async def purge(session: AsyncSession) -> None: ...

Times are those of cron, in UTC. A task with an argument `due: datetime` is told the moment.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from cronsim import CronSim
from sqlmodel.ext.asyncio.session import AsyncSession

from app.workers.task import P, Task

MOST_AT_ONCE = 100
# A time is not missed as long as it is only a little late.
LATE = timedelta(seconds=60)


class Missed(StrEnum):
    """What becomes of the times at which no scheduler was running."""

    SKIP = "skip"
    ONCE = "once"
    EACH = "each"


@dataclass(frozen=True)
class Schedule:
    """When a task is done."""

    task: Task[...]
    cron: str
    missed: Missed

    @property
    def name(self) -> str:
        """Return the name of the task."""
        return self.task.name

    @property
    def key(self) -> str:
        """Return what its jobs have in common, so that they are done one after the other."""
        return f"schedule {self.name}"

    def following(self, moment: datetime) -> datetime:
        """Return the first time after a moment."""
        return next(CronSim(self.cron, moment))

    def owed(self, last: datetime, now: datetime) -> tuple[list[datetime], datetime]:
        """List the times for which the task is to be enqueued, and say up to when it is seen to then."""
        if self.missed is Missed.EACH:
            times = self.due(last, now)
            return times, times[-1]
        latest = self.latest(now)
        too_late = self.missed is Missed.SKIP and now - latest > LATE
        return [] if too_late else [latest], latest

    def due(self, last: datetime, now: datetime) -> list[datetime]:
        """List the times after `last` up to `now`, at most a hundred."""
        times = takewhile(lambda time: time <= now, CronSim(self.cron, last))
        return [time for _, time in zip(range(MOST_AT_ONCE), times, strict=False)]

    def latest(self, now: datetime) -> datetime:
        """Return the last time up to a moment."""
        return next(CronSim(self.cron, now + timedelta(microseconds=1), reverse=True))

    def enqueue(self, session: AsyncSession, due: datetime) -> None:
        """Let the task be done after the commit."""
        told = {"due": due} if "due" in self.task.arguments.model_fields else {}
        self.task.add(session, self.task.arguments(**told), key=self.key)


_schedules: list[Schedule] = []


def schedules() -> list[Schedule]:
    """List all schedules, by name."""
    return sorted(_schedules, key=lambda schedule: schedule.name)


def periodic(cron: str, *, missed: Missed) -> Callable[[Task[P]], Task[P]]:
    """Let a task be done at certain times.

    Its scheduled jobs never run beside each other. If its job of the time before is not done yet, `skip` and `once` leave the new
    time out; `each` lets it wait its turn.

    Args:
        cron: Minute, hour, day of the month, month, day of the week; in UTC.
        missed: What becomes of times at which no scheduler was running: none of them, the last one, or each.

    Raises:
        CronSimError: If it is no such text.
        ValueError: If the task cannot be called without arguments, or with `due` alone.
    """
    CronSim(cron, datetime.now(UTC))

    def register(task: Task[P]) -> Task[P]:
        for name, field in task.arguments.model_fields.items():
            if field.is_required() and name != "due":
                raise ValueError(f"{task.name} has its times, so nobody gives it {name}.")
        _schedules.append(Schedule(task, cron, missed))
        return task

    return register
