"""Commands that run workers and schedulers, and list the schedules."""

import asyncio

import typer

from app.core.config import ConfigurationError, load
from app.db import dialect
from app.db.base import utc_now
from app.db.commands import command_context
from app.jobs.scheduler import Scheduler
from app.jobs.settings import EXAMPLE_URL, WorkerSettings
from app.outbox import processes
from app.outbox.processes import Host, Port

WORKER_PORT, SCHEDULER_PORT = 8101, 8103

worker = typer.Typer(subcommand_metavar="")
scheduler = typer.Typer(subcommand_metavar="[list]")


@worker.callback(invoke_without_command=True)
def _work(host: Host = "127.0.0.1", port: Port = WORKER_PORT) -> None:
    """Run jobs until stopped.

    Start as many as you need; REDIS_URL must be set. On SIGTERM, a worker accepts
    no more jobs, waits WORKER_STOP_SECONDS for running ones, and releases the rest.

    Exit codes: 0 stopped by a signal; 1 the port is in use; 78 a setting is invalid or missing.
    """
    _serve("app.tasks:create_worker", host, port)


@scheduler.callback(invoke_without_command=True)
def _schedule(context: typer.Context, host: Host = "127.0.0.1", port: Port = SCHEDULER_PORT) -> None:
    """Enqueue periodic tasks until stopped.

    One is enough; several can run safely, because each run is enqueued once.
    REDIS_URL must be set.

    Exit codes: 0 stopped by a signal; 1 the port is in use; 78 a setting is invalid or missing.
    """
    if context.invoked_subcommand is None:
        _serve("app.tasks:create_scheduler", host, port)


@scheduler.command("list")
def list_schedule() -> None:
    """List periodic tasks with their last and next run (UTC).

    If `next` is in the past, no scheduler is running.
    """
    with command_context():
        asyncio.run(_list_schedule())


async def _list_schedule() -> None:
    async with dialect.open_database(load(dialect.DatabaseSettings)) as database:
        scheduler = Scheduler(database)
        ticks = await scheduler.load_states()
    width = max(len(schedule.name) for schedule in scheduler.schedules)
    typer.echo(f"{'task':{width}}  {'cron':15}  {'missed':6}  {'last':16}  next")
    for schedule in scheduler.schedules:
        last = ticks.get(schedule.name)
        next_run = schedule.next_run(last or utc_now())
        typer.echo(
            f"{schedule.name:{width}}  {schedule.cron:15}  {schedule.missed:6}  "
            f"{f'{last:%Y-%m-%d %H:%M}' if last else 'never':16}  {next_run:%Y-%m-%d %H:%M}"
        )


def _serve(factory: str, host: str, port: int) -> None:
    """Run a process, unless the API process already runs jobs."""
    with command_context() as settings:
        if load(WorkerSettings).redis_url is None:
            raise ConfigurationError(
                "REDIS_URL is not set: in development, the API process runs the jobs.\n"
                f"To run separate processes, set it for the API and for all of them. Example: {EXAMPLE_URL}"
            )
        processes.serve(factory, settings, host, port)
