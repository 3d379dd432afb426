"""Tasks: functions that are done later, by a worker, and at least once.

    @task()
    async def send_welcome_email(session: AsyncSession, *, user_id: UUID) -> None: ...

    send_welcome_email.enqueue(session, user_id=user.id)

`enqueue` writes a row in the caller's transaction: a commit lets the task be done, a
rollback takes it back. A `task` runs in a transaction that also ends the job, so its
effect in the database happens once, however often it is tried. An `outside_task` runs
outside of any transaction, for what is slow or not in the database, such as mail.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Concatenate, Generic, ParamSpec, get_type_hints
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import get_contextvars

from app.db.session import Database
from app.outbox.models import OutboxEvent
from app.outbox.repository import OutboxRepository
from app.workers.failures import said

DESTINATION = "workers"
KEY_LENGTH = 200
# What JSON cannot say by itself comes back as it was; errors name an argument and not its value.
AS_JSON = ConfigDict(
    extra="forbid",
    hide_input_in_errors=True,
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="strings",
)

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


class TryAgain(Exception):
    """Raise it, or a subclass, in a task that is to be tried again later. The log tells the text, and no traceback."""


class UnknownTask(TryAgain):
    """There is no task of this name here, for example because this worker is older than who enqueued it."""


class UnfitArguments(TryAgain):
    """The arguments are not those of the task any more, for example because it has changed since."""


class Task(Generic[P]):
    """A function that a worker calls."""

    def __init__(self, function: Callable[..., Awaitable[None]], *, in_transaction: bool, **options: Any) -> None:
        """Remember it under its name, which stands in rows: renaming a function leaves those behind.

        Raises:
            ValueError: If there is another task of this name, or its key is none of its arguments.
        """
        self.name = _name(function)
        self.function = function
        self.in_transaction = in_transaction
        self.attempts: int = options["attempts"]
        self.seconds: float = options["seconds"]
        self.queue: Queue = options["queue"]
        self.key: str | None = options["key"]
        self.arguments = _arguments(function)
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
        try:
            return dict(self.arguments.model_validate_json(payload))
        except ValidationError as error:
            raise UnfitArguments(said(error)) from None

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


def _arguments(function: Callable[..., Any]) -> type[BaseModel]:
    """Make a model of what a function is called with, after the session or the job."""
    hints = get_type_hints(function)
    _, *parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(f"{_name(function)}: put a * before {parameter.name}; tasks are given arguments by name.")
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in parameters
    }
    return create_model(_name(function), __config__=AS_JSON, **fields)


def _name(function: Callable[..., Any]) -> str:
    return function.__name__  # ty: ignore[missing-attribute]
