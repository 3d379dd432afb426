"""The `outbox` and `dead-letters` commands."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from app.db.base import utc_now
from app.db.commands import command_context, exit_with_error, open_transaction
from app.outbox.models import MessageState, OutboxMessage
from app.outbox.repository import OutboxRepository

T = TypeVar("T")
ReplayCheck = Callable[[str, str], str | None]

# Each returns why dead letters with a destination and a queue cannot be replayed, or None.
replay_checks: list[ReplayCheck] = []

outbox = typer.Typer(no_args_is_help=True, help="Inspect the outbox.")
dead_letters = typer.Typer(no_args_is_help=True, help="Manage permanently failed jobs and events.")
COMMANDS = {"outbox": outbox, "dead-letters": dead_letters}

Ids = Annotated[list[UUID] | None, typer.Argument(metavar="ID", help="IDs, as shown by `list`.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@outbox.command()
def status() -> None:
    """Show the number of messages by destination and state, and the age of the oldest.

    `pending`: not sent yet; `sent`: not started yet; `running`: in progress; `dead`: needs manual intervention.
    """
    counts = _run(lambda outbox: outbox.count_messages())
    states = [*MessageState]
    for destination, state in sorted(counts, key=lambda key: (key[0], states.index(key[1]))):
        count, oldest = counts[destination, state]
        typer.echo(f"{destination:10} {state:8} {count:6}   oldest: {_age(oldest)}")
    if not counts:
        typer.echo("The outbox is empty.")


@dead_letters.command("list")
def list_dead_letters_command(limit: Annotated[int, typer.Option(min=1, help="Maximum number to show.")] = 50) -> None:
    """List dead letters, oldest first. Arguments are omitted; use `show`."""
    for message in _run(lambda outbox: outbox.list_dead_letters(limit)):
        typer.echo(
            f"{message.id}  {message.dead_at:%Y-%m-%d %H:%M}  {message.destination:9}  {message.name}  "
            f"{' '.join(message.last_error.split())[:100]}"
        )


@dead_letters.command()
def show(id: Annotated[UUID, typer.Argument(metavar="ID")]) -> None:  # noqa: A002 - the name in the help text
    """Show one dead letter with its arguments, which may contain personal data."""
    message = _run(lambda outbox: outbox.get_dead_letter(id))
    if message is None:
        exit_with_error(f"No dead letter with the id {id}.")
    typer.echo("\n".join(f"{name + ':':12} {value}" for name, value in _describe_fields(message)))


@dead_letters.command()
def replay(ids: Ids = None, every: All = False) -> None:
    """Retry dead letters by id, or --all."""
    chosen = _selected_ids(ids, every)
    _print_count(_run(lambda outbox: _replay(outbox, chosen)), "will be retried", chosen)


async def _replay(outbox: OutboxRepository, ids: list[UUID] | None) -> int:
    for destination, queue in await outbox.dead_letter_queues(ids):
        for check in replay_checks:
            if reason := check(destination, queue):
                exit_with_error(reason)
    return await outbox.replay(ids)


@dead_letters.command()
def drop(ids: Ids = None, every: All = False) -> None:
    """Delete dead letters by id, or --all."""
    chosen = _selected_ids(ids, every)
    _print_count(_run(lambda outbox: outbox.drop(chosen)), "deleted", chosen)


def _selected_ids(ids: list[UUID] | None, every: bool) -> list[UUID] | None:
    if bool(ids) is every:
        exit_with_error("Pass one or more IDs, or --all.", code=2)
    return ids or None


def _print_count(count: int, what: str, chosen: list[UUID] | None) -> None:
    typer.echo(f"{count} {what}")
    if chosen is not None and count < len(set(chosen)):
        exit_with_error("The other ids are not dead letters.")


def _run(work: Callable[[OutboxRepository], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_transaction() as session:
            return await work(OutboxRepository(session))

    with command_context():
        return asyncio.run(run())


def _describe_fields(message: OutboxMessage) -> list[tuple[str, object]]:
    return [
        ("id", message.id),
        ("destination", message.destination),
        ("name", message.name),
        ("queue", message.queue),
        ("arguments", message.payload),
        ("key", message.key or "-"),
        ("request", message.request_id or "-"),
        ("due", f"{message.due_at:%Y-%m-%d %H:%M:%S}"),
        ("died", f"{message.dead_at:%Y-%m-%d %H:%M:%S}"),
        ("attempts", message.attempts),
        ("error", message.last_error),
    ]


def _age(since: datetime) -> str:
    seconds = max(0.0, (utc_now() - since).total_seconds())
    size, unit = next(((s, u) for s, u in ((86_400, "d"), (3_600, "h"), (60, "min")) if seconds >= s), (1, "s"))
    return f"{seconds / size:.0f} {unit}"
