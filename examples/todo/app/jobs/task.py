"""Tasks: functions that run later, at least once.

    @task()
    async def send_welcome_email(session: AsyncSession, *, user_id: UUID) -> None: ...

    send_welcome_email.enqueue(session, user_id=user.id)

`enqueue` adds a row in the caller's transaction: a commit makes the job run, a rollback
discards it. A `task` runs in the transaction that also completes the job, so its database
changes happen exactly once, however often it is attempted. A `non_transactional_task` runs outside of
any transaction, for work that is slow or not in the database, such as sending email.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Concatenate, Generic, ParamSpec, TypedDict, Unpack
from uuid import UUID

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import get_contextvars

from app.db.base import utc_now
from app.db.session import Database
from app.jobs.arguments import arguments_model, parse_arguments
from app.jobs.repository import TO_WORKERS
from app.outbox.errors import ExpectedError
from app.outbox.models import OutboxMessage
from app.outbox.repository import OutboxRepository

MAX_KEY_LENGTH = 200

P = ParamSpec("P")


class Queue(StrEnum):
    """Queue of a task, in order of priority: workers run the jobs in `high` first."""

    HIGH = "high"
    DEFAULT = "default"
    EMAIL = "email"  # separate, so that one process alone can send the emails
    LOW = "low"


@dataclass(frozen=True)
class Job:
    """The job for which a `non_transactional_task` runs."""

    id: UUID
    attempt: int
    database: Database
    worker_stopping: asyncio.Event = field(default_factory=asyncio.Event, compare=False)

    def exit_if_stopping(self) -> None:
        """Leave the job to another worker if this one is stopping. A long task calls it where it can be interrupted.

        Raises:
            WorkerStopping: If the worker is stopping. The job is released and starts again; the attempt does not count.
        """
        if self.worker_stopping.is_set():
            raise WorkerStopping


class WorkerStopping(Exception):
    """The worker is stopping, and the task has agreed to be interrupted."""


class UnknownTask(ExpectedError):
    """No task with this name, for example because this worker runs an older version than the enqueuing process."""


class TaskOptions(TypedDict, total=False):
    """Options of a task, which all have defaults.

    Attributes:
        max_attempts: Maximum number of attempts before the job is a dead letter. Pauses grow from a second to an hour.
        timeout_seconds: Time limit of one attempt. When a worker crashes, another one gets the job after this time.
        queue: Queue, which is also the priority.
        key: Name of an argument. Jobs with the same value run one at a time, in the order of enqueuing.
    """

    max_attempts: int
    timeout_seconds: float
    queue: Queue
    key: str | None


class Task(Generic[P]):
    """A function that runs as a job, with its options."""

    def __init__(
        self,
        function: Callable[..., Awaitable[None]],
        *,
        in_transaction: bool,
        max_attempts: int = 10,
        timeout_seconds: float = 30,
        queue: Queue = Queue.DEFAULT,
        key: str | None = None,
    ) -> None:
        """Register the task under the function's name. Jobs store the name, so renaming a function orphans its jobs.

        Raises:
            ValueError: If the name is taken, or `key` is not an argument of the function.
        """
        self.name = _function_name(function)
        self.function = function
        self.in_transaction = in_transaction
        self.max_attempts = max_attempts
        self.timeout_seconds = timeout_seconds
        self.queue = queue
        self.key = key
        self.arguments = arguments_model(function)
        if self.name in _tasks:
            raise ValueError(f"Another task has the name {self.name}.")
        if self.key is not None and self.key not in self.arguments.model_fields:
            raise ValueError(f"The key of {self.name} must be one of its arguments: {self.key}.")
        _tasks[self.name] = self

    def enqueue(self, session: AsyncSession, /, *args: P.args, **arguments: P.kwargs) -> UUID:
        """Run the task after the commit of `session`, and return the id of the job.

        Raises:
            ValidationError: If the arguments do not fit the task.
        """
        return self.enqueue_arguments(session, self.arguments(*args, **arguments))

    def enqueue_at(self, session: AsyncSession, at: datetime, /, *args: P.args, **arguments: P.kwargs) -> UUID:
        """Run the task after the commit of `session`, but not before `at`.

        Raises:
            ValidationError: If the arguments do not fit the task.
            ValueError: If `at` has no time zone.
        """
        if at.tzinfo is None:
            raise ValueError(f"{self.name}: {at!r} has no time zone.")
        return self.enqueue_arguments(session, self.arguments(*args, **arguments), at=at)

    def read(self, payload: str) -> dict[str, Any]:
        """Parse the arguments of a job.

        Raises:
            InvalidArguments: If they no longer fit the task.
        """
        return parse_arguments(self.arguments, payload)

    def enqueue_arguments(
        self, session: AsyncSession, arguments: BaseModel, *, at: datetime | None = None, key: str | None = None
    ) -> UUID:
        """Add the job. `key` replaces the key that the arguments determine."""
        row = OutboxMessage(
            destination=TO_WORKERS,
            queue=self.queue,
            name=self.name,
            key=self._key(arguments) if key is None else key,
            payload=arguments.model_dump_json(),
            request_id=get_contextvars().get("request_id", ""),
            due_at=at or utc_now(),
            next_attempt_at=at,
        )
        OutboxRepository(session).add(row)
        return row.id

    def _key(self, arguments: BaseModel) -> str | None:
        """Return the key of a job. Reject here what the database would reject at the commit."""
        if self.key is None:
            return None
        key = f"{self.name} {getattr(arguments, self.key)}"
        if len(key) > MAX_KEY_LENGTH or "\x00" in key:
            raise ValueError(f"{self.name}: {self.key} is the key, so it must be short and must not contain NUL.")
        return key


_tasks: dict[str, Task[...]] = {}


def get_task(name: str) -> Task[...]:
    """Return the task with a name.

    Raises:
        UnknownTask: If no task has it.
    """
    try:
        return _tasks[name]
    except KeyError:
        raise UnknownTask(f"no task is named {name}") from None


def task(
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[Concatenate[AsyncSession, P], Awaitable[None]]], Task[P]]:
    """Make a function a task that runs in one transaction."""
    return lambda function: Task(function, in_transaction=True, **options)


def non_transactional_task(
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[Concatenate[Job, P], Awaitable[None]]], Task[P]]:
    """Make a function a task that runs outside of transactions. It opens its own transactions if it needs any.

    If a worker crashes after the function returned and before the job is marked as finished, the function runs again.
    """
    return lambda function: Task(function, in_transaction=False, **options)


def _function_name(function: Callable[..., Any]) -> str:
    return function.__name__  # ty: ignore[missing-attribute]
