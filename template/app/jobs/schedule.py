"""Schedules of periodic tasks.

    @periodic("17 3 * * *", missed=MissedRuns.ONCE)
    @task()
    async def purge(session: AsyncSession) -> None: ...

Cron expressions are in UTC. A task with an argument `due: datetime` receives the scheduled time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from cronsim import CronSim
from sqlmodel.ext.asyncio.session import AsyncSession

from app.jobs.task import P, Task

MAX_RUNS_AT_ONCE = 100
# A run that is at most this late does not count as missed.
GRACE_PERIOD = timedelta(seconds=60)


class MissedRuns(StrEnum):
    """What to do about the runs that were due while no scheduler was running."""

    SKIP = "skip"
    ONCE = "once"
    EACH = "each"


@dataclass(frozen=True)
class Schedule:
    """When a task runs."""

    task: Task[...]
    cron: str
    missed: MissedRuns

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task.name

    @property
    def key(self) -> str:
        """Key of all its jobs, so that they run one at a time."""
        return f"schedule {self.name}"

    def next_run(self, after: datetime) -> datetime:
        """Return the first run after a timestamp."""
        return next(CronSim(self.cron, after))

    def runs_to_enqueue(self, last: datetime, now: datetime) -> tuple[list[datetime], datetime]:
        """Return the runs to enqueue, and the time up to which the schedule is then handled."""
        if self.missed is MissedRuns.EACH:
            times = self.due_runs(last, now)
            return times, times[-1]
        latest = self.previous_run(now)
        too_late = self.missed is MissedRuns.SKIP and now - latest > GRACE_PERIOD
        return [] if too_late else [latest], latest

    def due_runs(self, last: datetime, now: datetime) -> list[datetime]:
        """Return the runs after `last` up to `now`, at most a hundred."""
        times = takewhile(lambda time: time <= now, CronSim(self.cron, last))
        return [time for _, time in zip(range(MAX_RUNS_AT_ONCE), times, strict=False)]

    def previous_run(self, now: datetime) -> datetime:
        """Return the last run up to `now`."""
        return next(CronSim(self.cron, now + timedelta(microseconds=1), reverse=True))

    def enqueue(self, session: AsyncSession, due: datetime) -> None:
        """Enqueue the task for one run."""
        arguments = {"due": due} if "due" in self.task.arguments.model_fields else {}
        self.task.enqueue_arguments(session, self.task.arguments(**arguments), key=self.key)


_schedules: list[Schedule] = []


def schedules() -> list[Schedule]:
    """Return all schedules, by name."""
    return sorted(_schedules, key=lambda schedule: schedule.name)


def periodic(cron: str, *, missed: MissedRuns) -> Callable[[Task[P]], Task[P]]:
    """Run a task periodically.

    Its scheduled jobs never run concurrently. If a run is due while the job of the previous one is unfinished, `skip`
    and `once` drop it, and `each` queues it.

    Args:
        cron: Minute, hour, day of the month, month, day of the week; in UTC.
        missed: What to do with runs that were missed while no scheduler was running: drop them, or enqueue the last one or each.

    Raises:
        CronSimError: If `cron` is not a valid cron expression.
        ValueError: If the task has required arguments other than `due`.
    """
    CronSim(cron, datetime.now(UTC))

    def register(task: Task[P]) -> Task[P]:
        for name, field in task.arguments.model_fields.items():
            if field.is_required() and name != "due":
                raise ValueError(f"{task.name} is periodic, so it needs a default for {name}.")
        _schedules.append(Schedule(task, cron, missed))
        return task

    return register
