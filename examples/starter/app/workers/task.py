"""Tasks: functions that are done later, by a worker, and at least once.

    @task()
    async def send_welcome_email(session: AsyncSession, *, user_id: UUID) -> None: ...

    send_welcome_email.enqueue(session, user_id=user.id)

`enqueue` writes a row in the caller's transaction: a commit lets the task be done, a
rollback takes it back. A `task` runs in a transaction that also ends the job, so its
effect in the database happens once, however often it is tried. An `outside_task` runs
outside of any transaction, for what is slow or not in the database, such as mail.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Concatenate, Generic, ParamSpec
from uuid import UUID

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import get_contextvars

from app.db.base import utc_now
from app.db.session import Database
from app.outbox.failures import TryAgain
from app.outbox.models import OutboxEvent
from app.outbox.repository import OutboxRepository
from app.workers.arguments import arguments_of, read
from app.workers.repository import DESTINATION

KEY_LENGTH = 200

P = ParamSpec("P")


class Queue(StrEnum):
    """How urgent it is: a worker takes what is in `high` first."""

    HIGH = "high"
    DEFAULT = "default"
    LOW = "low"


@dataclass(frozen=True)
class Job:
    """One task to be done, as an `outside_task` sees it."""

    id: UUID
    attempt: int
    database: Database


class UnknownTask(TryAgain):
    """There is no task of this name here, for example because this worker is older than who enqueued it."""


class Task(Generic[P]):
    """A function that a worker calls."""

    def __init__(
        self,
        function: Callable[..., Awaitable[None]],
        *,
        in_transaction: bool,
        attempts: int,
        seconds: float,
        queue: Queue,
        key: str | None,
    ) -> None:
        """Remember it under its name, which stands in rows: renaming a function leaves those behind.

        Raises:
            ValueError: If there is another task of this name, or its key is none of its arguments.
        """
        self.name = _name(function)
        self.function = function
        self.in_transaction = in_transaction
        self.attempts = attempts
        self.seconds = seconds
        self.queue = queue
        self.key = key
        self.arguments = arguments_of(function)
        if self.name in _tasks:
            raise ValueError(f"There are two tasks with the name {self.name}.")
        if self.key is not None and self.key not in self.arguments.model_fields:
            raise ValueError(f"{self.name} has no argument {self.key}, which is to be its key.")
        _tasks[self.name] = self

    def enqueue(self, session: AsyncSession, /, *args: P.args, **arguments: P.kwargs) -> UUID:
        """Let it be done after the commit of `session`, and return the id of the job.

        Raises:
            ValidationError: If the arguments are not those of the task.
        """
        return self.add(session, self.arguments(*args, **arguments))

    def enqueue_at(self, session: AsyncSession, at: datetime, /, *args: P.args, **arguments: P.kwargs) -> UUID:
        """Let it be done after the commit of `session`, but not before a moment.

        Raises:
            ValidationError: If the arguments are not those of the task.
            ValueError: If the moment has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError(f"{self.name}: {at!r} has no time zone.")
        return self.add(session, self.arguments(*args, **arguments), at=at)

    def read(self, payload: str) -> dict[str, Any]:
        """Read the arguments that were enqueued.

        Raises:
            UnfitArguments: If they are not those of the task any more.
        """
        return read(self.arguments, payload)

    def add(
        self, session: AsyncSession, arguments: BaseModel, *, at: datetime | None = None, key: str | None = None
    ) -> UUID:
        """Write the row, with the key of the arguments unless another is given."""
        event = OutboxEvent(
            destination=DESTINATION,
            queue=self.queue,
            name=self.name,
            key=self._key(arguments) if key is None else key,
            payload=arguments.model_dump_json(),
            request_id=get_contextvars().get("request_id", ""),
            due_at=at or utc_now(),
            next_attempt_at=at,
        )
        OutboxRepository(session).add(event)
        return event.id

    def _key(self, arguments: BaseModel) -> str | None:
        """Say which jobs follow each other; refuse now what the database would refuse at the commit."""
        if self.key is None:
            return None
        key = f"{self.name} {getattr(arguments, self.key)}"
        if len(key) > KEY_LENGTH or "\x00" in key:
            raise ValueError(f"{self.name}: {self.key} is a key; it must be short, and without NUL.")
        return key


_tasks: dict[str, Task[...]] = {}


def find(name: str) -> Task[...]:
    """Return the task of a name.

    Raises:
        UnknownTask: If there is none.
    """
    try:
        return _tasks[name]
    except KeyError:
        raise UnknownTask(f"there is no task {name} here") from None


def task(
    *, attempts: int = 10, seconds: float = 30, queue: Queue = Queue.DEFAULT, key: str | None = None
) -> Callable[[Callable[Concatenate[AsyncSession, P], Awaitable[None]]], Task[P]]:
    """Make a task of a function that works in one transaction.

    Args:
        attempts: So often it is tried before it is a dead letter; pauses grow from a second to an hour.
        seconds: So long one attempt may take. If a worker dies, the job is given to another after that.
        queue: How urgent it is.
        key: The argument by which jobs follow each other: those with the same value are done one by one, in order.
    """
    return lambda function: Task(
        function, in_transaction=True, attempts=attempts, seconds=seconds, queue=queue, key=key
    )


def outside_task(
    *, attempts: int = 10, seconds: float = 30, queue: Queue = Queue.DEFAULT, key: str | None = None
) -> Callable[[Callable[Concatenate[Job, P], Awaitable[None]]], Task[P]]:
    """Make a task of a function that works outside of transactions, and opens its own if it needs any.

    Its arguments are those of `task`. If a worker dies between the work and the note that it is done, the work is
    done again.
    """
    return lambda function: Task(
        function, in_transaction=False, attempts=attempts, seconds=seconds, queue=queue, key=key
    )


def _name(function: Callable[..., Any]) -> str:
    return function.__name__  # ty: ignore[missing-attribute]
