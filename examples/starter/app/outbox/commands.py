"""Commands for the outbox: how full it is, and what became of jobs that failed for good."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, NoReturn, TypeVar
from uuid import UUID

import typer

from app.core.config import load
from app.db import dialect
from app.db.base import utc_now
from app.db.commands import configured
from app.db.session import transaction
from app.outbox import processes
from app.outbox.models import OutboxEvent
from app.outbox.processes import RELAY_PORT, Host, Port
from app.outbox.repository import OutboxRepository

T = TypeVar("T")

relay = typer.Typer(subcommand_metavar="")
outbox = typer.Typer(no_args_is_help=True, help="What waits to be done after a commit.")
dead_letters = typer.Typer(no_args_is_help=True, help="Jobs that failed for good, and wait for a person.")

Ids = Annotated[list[UUID] | None, typer.Argument(metavar="ID", help="Which; `list` shows their ids.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@relay.callback(invoke_without_command=True)
def _relay(host: Host = "127.0.0.1", port: Port = RELAY_PORT) -> None:
    """Bring what waits in the outbox to where it is done, until told to stop.

    One is enough, two are safe. It waits while the database, or where it brings
    things to, is away.

    Exit codes: 0 it was told to stop; 1 the port is in use; 78 a setting is wrong or missing.
    """
    with configured() as settings:
        processes.serve("app.relay:create_relay", settings, host, port)


@outbox.command()
def status() -> None:
    """Count what waits, and tell since when the oldest could have been done.

    `waiting` is for the relay, `sent` is for a worker, `taken` is being done, `dead` is for a person.
    """
    counts = _run(lambda outbox: outbox.counts())
    for state, (count, oldest) in counts.items():
        typer.echo(f"{state:8} {count:6}" + (f"   oldest: {_age(oldest)}" if oldest else ""))


@dead_letters.command("list")
def list_dead(limit: Annotated[int, typer.Option(min=1, help="Show so many, oldest first.")] = 50) -> None:
    """List them, oldest first. What they were called with is left out; `show` tells."""
    for event in _run(lambda outbox: outbox.dead(limit)):
        typer.echo(
            f"{event.id}  {event.dead_at:%Y-%m-%d %H:%M}  {event.name}  {' '.join(event.last_error.split())[:100]}"
        )


@dead_letters.command()
def show(id: Annotated[UUID, typer.Argument(metavar="ID")]) -> None:  # noqa: A002 - what it is called on the screen
    """Show one, with what it was called with. That may be personal data."""
    event = _run(lambda outbox: outbox.dead_letter(id))
    if event is None:
        _refuse(f"There is no dead letter {id}.")
    typer.echo("\n".join(f"{name + ':':12} {value}" for name, value in _described(event)))


@dead_letters.command()
def replay(ids: Ids = None, every: All = False) -> None:
    """Try again, from the first attempt on: those with these ids, or --all."""
    chosen = _chosen(ids, every)
    _tell(_run(lambda outbox: outbox.replay(chosen)), "will be tried again", chosen)


@dead_letters.command()
def drop(ids: Ids = None, every: All = False) -> None:
    """Delete for good: those with these ids, or --all."""
    chosen = _chosen(ids, every)
    _tell(_run(lambda outbox: outbox.drop(chosen)), "deleted", chosen)


def _chosen(ids: list[UUID] | None, every: bool) -> list[UUID] | None:
    if bool(ids) is every:
        _refuse("Name ids, or say --all.", code=2)
    return ids or None


def _tell(count: int, what: str, chosen: list[UUID] | None) -> None:
    typer.echo(f"{count} {what}")
    if chosen is not None and count < len(set(chosen)):
        _refuse("The others are no dead letters.")


def _refuse(why: str, code: int = 1) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(code)


def _run(work: Callable[[OutboxRepository], Awaitable[T]]) -> T:
    async def run() -> T:
        async with (
            dialect.open_database(load(dialect.DatabaseSettings)) as database,
            transaction(database.writers) as session,
        ):
            return await work(OutboxRepository(session))

    with configured():
        return asyncio.run(run())


def _described(event: OutboxEvent) -> list[tuple[str, object]]:
    return [
        ("id", event.id),
        ("name", event.name),
        ("queue", event.queue),
        ("arguments", event.payload),
        ("key", event.key or "-"),
        ("request", event.request_id or "-"),
        ("due", f"{event.due_at:%Y-%m-%d %H:%M:%S}"),
        ("died", f"{event.dead_at:%Y-%m-%d %H:%M:%S}"),
        ("attempts", event.attempts),
        ("error", event.last_error),
    ]


def _age(moment: datetime) -> str:
    """Say how long ago it was, in the largest unit that fits."""
    seconds = max(0.0, (utc_now() - moment).total_seconds())
    size, unit = next(((s, u) for s, u in ((86_400, "d"), (3_600, "h"), (60, "min")) if seconds >= s), (1, "s"))
    return f"{seconds / size:.0f} {unit}"
