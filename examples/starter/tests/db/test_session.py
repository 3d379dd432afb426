"""Transactions of requests: commit, rollback, and read-only sessions."""

from collections.abc import AsyncGenerator

import anyio
import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import select

from app.core.exceptions import ConflictError
from app.core.runtime import runtime_of
from app.db.session import Database, SessionDep, open_read_session, transaction
from app.main import create_app
from app.modules.user.models import User


@pytest.fixture
async def routes_client(committing_database: Database, committing_client: AsyncClient) -> AsyncGenerator[AsyncClient]:
    """A client of an app with routes that commit; `committing_client` deletes the rows."""
    app = create_app()
    runtime_of(app)[Database] = committing_database

    @app.post("/returns")
    async def returns(session: SessionDep) -> None:
        session.add(User(email="ada@example.com", name="Ada"))

    @app.post("/raises")
    async def raises(session: SessionDep) -> None:
        session.add(User(email="ada@example.com", name="Ada"))
        await session.flush()
        raise ConflictError

    @app.get("/writes-while-reading")
    async def writes_while_reading(session: SessionDep) -> None:
        session.add(User(email="ada@example.com", name="Ada"))
        await session.flush()

    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


async def count_users(database: Database) -> int:
    async with transaction(database.read_transaction) as session:
        return len((await session.exec(select(User))).all())


async def test_successful_request_commits(routes_client: AsyncClient, committing_database: Database) -> None:
    assert (await routes_client.post("/returns")).status_code == 200
    assert await count_users(committing_database) == 1


async def test_exception_in_request_rolls_back(routes_client: AsyncClient, committing_database: Database) -> None:
    assert (await routes_client.post("/raises")).status_code == 409
    assert await count_users(committing_database) == 0


async def test_failed_commit_returns_an_error(routes_client: AsyncClient, committing_database: Database) -> None:
    engine = committing_database.write.kw["bind"].sync_engine

    def fail(_: object) -> None:
        raise OperationalError("COMMIT", None, Exception("disk full"))

    event.listen(engine, "commit", fail)
    try:
        response = await routes_client.post("/returns")
    finally:
        event.remove(engine, "commit", fail)

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert "disk full" not in response.text
    assert await count_users(committing_database) == 0


async def test_get_request_cannot_write(routes_client: AsyncClient, committing_database: Database) -> None:
    assert (await routes_client.get("/writes-while-reading")).status_code >= 500
    assert await count_users(committing_database) == 0


async def test_read_session_is_closed_after_cancellation(committing_database: Database) -> None:
    found = None
    with anyio.CancelScope() as reader:
        async with open_read_session(committing_database) as session:
            reader.cancel()
            found = (await session.exec(select(User))).all()

    assert found == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OperationalError("SELECT", None, Exception("db.internal")), 503),
        (PoolTimeoutError("QueuePool limit"), 503),
        (IntegrityError("INSERT", None, Exception("unknown constraint")), 500),
    ],
)
async def test_database_errors_are_reported_without_details(
    app: FastAPI, client: AsyncClient, error: SQLAlchemyError, status: int
) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise error

    response = await client.get("/raises")
    assert response.status_code == status
    assert "db.internal" not in response.text
