"""When periodic tasks are due, in UTC."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cronsim import CronSimError
from sqlmodel.ext.asyncio.session import AsyncSession

from app.jobs import schedule
from app.jobs.schedule import MissedRuns, Schedule, periodic
from app.jobs.task import task
from tests.conftest import IsolateRegistry

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@task()
async def periodic_task(session: AsyncSession) -> None: ...


@task()
async def task_with_required_argument(session: AsyncSession, *, name: str) -> None: ...


@pytest.fixture(autouse=True)
def _clear_schedules(isolate_registry: IsolateRegistry) -> None:
    isolate_registry("app.jobs.schedule._schedules").clear()


def every_minute() -> Schedule:
    return Schedule(periodic_task, "* * * * *", MissedRuns.EACH)


def test_cron_expressions_are_in_utc() -> None:
    early = Schedule(periodic_task, "17 3 * * *", MissedRuns.ONCE)

    assert early.next_run(NOON) == datetime(2030, 2, 1, 3, 17, tzinfo=UTC)
    assert early.previous_run(NOON) == datetime(2030, 1, 31, 3, 17, tzinfo=UTC)
    assert every_minute().next_run(NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))) == NOON + MINUTE


def test_run_is_due_at_its_exact_time() -> None:
    assert every_minute().due_runs(NOON - MINUTE, NOON) == [NOON]
    assert every_minute().due_runs(NOON, NOON + MINUTE / 2) == []
    assert every_minute().previous_run(NOON) == NOON
    assert every_minute().previous_run(NOON - timedelta(microseconds=1)) == NOON - MINUTE
    assert every_minute().next_run(NOON) == NOON + MINUTE


def test_due_runs_are_limited() -> None:
    due = every_minute().due_runs(NOON - 1000 * MINUTE, NOON)
    assert (len(due), due[-1]) == (100, NOON - 900 * MINUTE)


def test_periodic_registers_schedules() -> None:
    async def another_task(session: AsyncSession) -> None: ...

    made = periodic("0 0 29 2 *", missed=MissedRuns.SKIP)(periodic_task)
    periodic("* * * * *", missed=MissedRuns.ONCE)(task()(another_task))

    assert made is periodic_task
    assert [(one.name, one.cron, one.missed) for one in schedule.schedules()] == [
        ("another_task", "* * * * *", "once"),
        ("periodic_task", "0 0 29 2 *", "skip"),
    ]


def test_task_with_due_and_default_arguments_is_accepted() -> None:
    async def task_with_due_and_default(session: AsyncSession, *, due: datetime, name: str = "Ada") -> None: ...

    periodic("* * * * *", missed=MissedRuns.ONCE)(task()(task_with_due_and_default))
    assert [one.name for one in schedule.schedules()] == ["task_with_due_and_default"]


@pytest.mark.parametrize("cron", ["", "soon", "* * * *", "60 * * * *", "0 0 31 2 *"])
def test_invalid_cron_expression_is_rejected(cron: str) -> None:
    with pytest.raises(CronSimError):
        periodic(cron, missed=MissedRuns.ONCE)


def test_task_with_required_argument_is_rejected() -> None:
    with pytest.raises(ValueError, match="task_with_required_argument is periodic, so it needs a default for name"):
        periodic("* * * * *", missed=MissedRuns.ONCE)(task_with_required_argument)
