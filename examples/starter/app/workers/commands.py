"""Commands that start what works in the background, and look at the schedule."""

import asyncio

import typer

from app.core.config import ConfigurationError, load
from app.db import dialect
from app.db.base import utc_now
from app.db.commands import configured
from app.outbox import processes
from app.outbox.processes import Host, Port
from app.workers.scheduler import Scheduler
from app.workers.settings import EXAMPLE_URL, WorkerSettings

WORKER_PORT, SCHEDULER_PORT = 8101, 8103

worker = typer.Typer(subcommand_metavar="")
scheduler = typer.Typer(subcommand_metavar="[list]")


@worker.callback(invoke_without_command=True)
def _work(host: Host = "127.0.0.1", port: Port = WORKER_PORT) -> None:
    """Do jobs, until told to stop.

    Start as many as you need; REDIS_URL must be set. On SIGTERM it takes no
    more jobs, gives those under way WORKER_STOP_SECONDS, and gives back the rest.

    Exit codes: 0 it was told to stop; 1 the port is in use; 78 a setting is wrong or missing.
    """
    _serve("app.tasks:create_worker", host, port)


@scheduler.callback(invoke_without_command=True)
def _schedule(context: typer.Context, host: Host = "127.0.0.1", port: Port = SCHEDULER_PORT) -> None:
    """Let tasks be done at their times, until told to stop.

    One is enough, two are safe: each time comes once. REDIS_URL must be set.

    Exit codes: 0 it was told to stop; 1 the port is in use; 78 a setting is wrong or missing.
    """
    if context.invoked_subcommand is None:
        _serve("app.tasks:create_scheduler", host, port)


@scheduler.command("list")
def list_schedule() -> None:
    """Show every task that has its times (in UTC): when it was last due, and when it is next.

    If `next` lies in the past, no scheduler runs.
    """
    with configured():
        asyncio.run(_list_schedule())


async def _list_schedule() -> None:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        scheduler = Scheduler(database)
        ticks = await scheduler.ticks()
    width = max(len(schedule.name) for schedule in scheduler.schedules)
    typer.echo(f"{'task':{width}}  {'cron':15}  {'missed':6}  {'last':16}  next")
    for schedule in scheduler.schedules:
        last = ticks.get(schedule.name)
        following = schedule.following(last or utc_now())
        typer.echo(
            f"{schedule.name:{width}}  {schedule.cron:15}  {schedule.missed:6}  "
            f"{f'{last:%Y-%m-%d %H:%M}' if last else 'never':16}  {following:%Y-%m-%d %H:%M}"
        )


def _serve(factory: str, host: str, port: int) -> None:
    """Serve it, unless the API does its work: then a second one would only confuse."""
    with configured() as settings:
        if load(WorkerSettings).redis_url is None:
            raise ConfigurationError(
                "REDIS_URL is not set: in development the API does the jobs itself, as long as it runs.\n"
                f"To have processes for them, set it for all of them. Example: {EXAMPLE_URL}"
            )
        processes.serve(factory, settings, host, port)
