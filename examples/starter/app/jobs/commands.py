"""The `jobs` commands."""

import asyncio

import typer

from app.core.config import load
from app.db import dialect
from app.db.base import utc_now
from app.db.commands import command_context
from app.jobs.scheduler import Scheduler

commands = typer.Typer(no_args_is_help=True, help="Inspect background jobs.")
COMMANDS = {"jobs": commands}


@commands.callback()
def _jobs() -> None:
    """Keep `jobs` a command group even if it has only one command."""


@commands.command("schedule")
def schedule() -> None:
    """List periodic tasks with their next run, and the time until which their runs are handled (UTC).

    If `next` is in the past, no scheduler is running.
    """
    with command_context():
        asyncio.run(_list_schedule())


async def _list_schedule() -> None:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        scheduler = Scheduler(database)
        handled_until = await scheduler.load_states()
    width = max(len(schedule.name) for schedule in scheduler.schedules)
    typer.echo(f"{'task':{width}}  {'cron':15}  {'missed':6}  {'handled until':16}  next")
    for schedule in scheduler.schedules:
        handled = handled_until.get(schedule.name)
        next_run = schedule.next_run(handled or utc_now())
        typer.echo(
            f"{schedule.name:{width}}  {schedule.cron:15}  {schedule.missed:6}  "
            f"{f'{handled:%Y-%m-%d %H:%M}' if handled else 'never':16}  {next_run:%Y-%m-%d %H:%M}"
        )
