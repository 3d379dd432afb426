"""Enqueuing: invalid arguments are rejected, and rows contain everything that workers need."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, ValidationError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import bound_contextvars

from app.core.exceptions import ConflictError
from app.db.base import utc_now
from app.db.session import Database, transaction
from app.jobs.arguments import InvalidArguments
from app.jobs.task import Job, Queue, UnknownTask, get_task, non_transactional_task, task
from app.outbox.models import OutboxMessage
from tests.jobs.conftest import enqueue
from tests.outbox.conftest import outbox_rows

TIMESTAMP = datetime(2030, 1, 31, 18, 0, 0, 123456, tzinfo=UTC)


class Place(BaseModel):
    """A structured argument."""

    street: str
    number: int


@task(queue=Queue.LOW, key="user_id")
async def greet_user(session: AsyncSession, *, user_id: UUID, name: str = "Ada") -> None:
    """Do nothing: these tests inspect rows."""


@non_transactional_task()
async def store_values(
    job: Job, *, user_id: UUID, at: datetime, data: bytes, ratio: float, place: Place, name: str | None = None
) -> None:
    """Do nothing: these tests inspect rows."""


@task(key="name")
async def notify(session: AsyncSession, *, name: str) -> None:
    """Do nothing: these tests inspect rows."""


async def read_only_row(session: AsyncSession) -> OutboxMessage:
    await session.flush()
    session.expunge_all()
    return (await session.exec(select(OutboxMessage))).one()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "user_id"),
        ({"user_id": "hunter2"}, "user_id"),
        ({"user_id": uuid4(), "name": None}, "name"),
        ({"user_id": uuid4(), "password": "hunter2"}, "password"),
    ],
)
def test_invalid_arguments_are_rejected_without_values(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=f"(?m)^{field}$") as refusal:
        greet_user.enqueue(AsyncSession(), **arguments)
    assert "hunter2" not in str(refusal.value)


async def test_arguments_are_stored_without_loss(session: AsyncSession) -> None:
    arguments: dict[str, Any] = {
        "user_id": uuid4(),
        "at": TIMESTAMP,
        "data": b"\x00\xff",
        "ratio": float("inf"),
        "place": Place(street="Unter den Linden \x00 Ω", number=1),
        "name": "\x00 🎈",
    }
    store_values.enqueue(session, **arguments)

    assert store_values.read((await read_only_row(session)).payload) == arguments


async def test_default_arguments_are_stored(session: AsyncSession) -> None:
    greet_user.enqueue(session, user_id=UUID(int=1))

    assert json.loads((await read_only_row(session)).payload) == {"user_id": str(UUID(int=1)), "name": "Ada"}


async def test_large_arguments_are_stored(session: AsyncSession) -> None:
    greet_user.enqueue(session, user_id=UUID(int=1), name="x" * 2**20)

    assert greet_user.read((await read_only_row(session)).payload)["name"] == "x" * 2**20


async def test_row_has_destination_key_and_request_id(session: AsyncSession) -> None:
    with bound_contextvars(request_id="abc"):
        job_id = greet_user.enqueue(session, user_id=UUID(int=1))

    row = await read_only_row(session)
    assert (row.id, row.name, row.destination, row.queue) == (job_id, "greet_user", "workers", "low")
    assert (row.key, row.request_id) == (f"greet_user {UUID(int=1)}", "abc")
    assert (row.sent_at, row.next_attempt_at, row.attempts) == (None, None, 0)


async def test_row_has_no_key_or_request_id_by_default(session: AsyncSession) -> None:
    store_values.enqueue(
        session, user_id=UUID(int=1), at=TIMESTAMP, data=b"", ratio=0, place=Place(street="", number=1)
    )

    row = await read_only_row(session)
    assert (row.key, row.request_id, row.queue) == (None, "", "default")


async def test_rollback_discards_job(committing_database: Database) -> None:
    with suppress(ConflictError):
        async with transaction(committing_database.write) as session:
            greet_user.enqueue(session, user_id=UUID(int=1))
            await session.flush()
            raise ConflictError

    assert await outbox_rows(committing_database) == []


async def test_commit_stores_job(empty_database: Database) -> None:
    job_id = await enqueue(empty_database, greet_user, user_id=UUID(int=1))

    assert [row.id for row in await outbox_rows(empty_database)] == [job_id]


async def test_enqueue_at_sets_next_attempt(session: AsyncSession) -> None:
    at = utc_now() + timedelta(days=1)
    greet_user.enqueue_at(session, at, user_id=UUID(int=1))

    assert (await read_only_row(session)).next_attempt_at == at


def test_enqueue_at_requires_time_zone() -> None:
    with pytest.raises(ValueError, match=r"^greet_user: .* has no time zone"):
        greet_user.enqueue_at(AsyncSession(), datetime(2030, 1, 1), user_id=UUID(int=1))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("name", ["x" * 200, "a\x00b"])
def test_invalid_key_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=r"^notify: name is the key, so it must be short and must not contain NUL\.$"):
        notify.enqueue(AsyncSession(), name=name)


async def test_longest_key_is_stored(session: AsyncSession) -> None:
    notify.enqueue(session, name="x" * 193)

    assert len((await read_only_row(session)).key or "") == 200


def test_duplicate_task_name_is_rejected() -> None:
    with pytest.raises(ValueError, match="Another task has the name greet_user"):
        task()(greet_user.function)


def test_key_must_be_an_argument() -> None:
    async def send(session: AsyncSession, *, user_id: UUID) -> None: ...

    with pytest.raises(ValueError, match="The key of send must be one of its arguments: account"):
        task(key="account")(send)


def test_positional_arguments_are_rejected() -> None:
    async def send(session: AsyncSession, user_id: UUID) -> None: ...

    with pytest.raises(TypeError, match=r"send: put a \* before user_id"):
        task()(send)


def test_unknown_task_is_rejected_with_its_name() -> None:
    assert get_task("greet_user") is greet_user
    with pytest.raises(UnknownTask, match="no task is named nonsense"):
        get_task("nonsense")


def test_outdated_arguments_are_rejected_without_values() -> None:
    with pytest.raises(
        InvalidArguments, match=r"user_id: Input should be a valid UUID.*; nick: Extra inputs"
    ) as refusal:
        greet_user.read('{"user_id": "hunter2", "nick": "hunter2"}')
    assert "hunter2" not in str(refusal.value)
