"""Sessions and transactions. This is the only module of the project that commits.

Each request is one transaction: returning commits it, an exception rolls it back. The commit
happens before the response is sent (`scope="function"`; with FastAPI's default dependency scope,
it would run after the client has already received a success response).

GET requests get a read-only session.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import Depends, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.runtime import Runtime, runtime_of

SessionFactory = async_sessionmaker[AsyncSession]


@dataclass(frozen=True)
class Database:
    """Session factories for one database.

    `write` sessions may write. `read_transaction` sessions are read-only and run in one transaction. `read_only`
    sessions are for GET requests: they are read-only too, and may run without a transaction. `health` has a separate
    connection, so that an exhausted pool is not reported as an unavailable database.
    """

    write: SessionFactory
    read_transaction: SessionFactory
    read_only: SessionFactory
    health: SessionFactory

    @classmethod
    def from_engines(
        cls, write: AsyncEngine, read_transaction: AsyncEngine, read_only: AsyncEngine, health: AsyncEngine
    ) -> "Database":
        """Create the session factories from four engines for the same database."""
        return cls(_sessions(write), _sessions(read_transaction), _sessions(read_only), _sessions(health))


def _sessions(engine: AsyncEngine) -> SessionFactory:
    """Create a session factory. Objects stay readable after the commit, because responses are built from them."""
    return async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


@asynccontextmanager
async def transaction(sessions: SessionFactory) -> AsyncGenerator[AsyncSession]:
    """Open a session, commit if the block succeeds, and roll back if it raises an exception.

    All requests that write, commands and background processes use this function.
    """
    async with sessions.begin() as session:
        yield session


async def get_database(request: Request) -> Database:
    """Return the database of the app."""
    return runtime_of(request)[Database]


DatabaseDep = Annotated[Database, Depends(get_database)]


async def get_session(request: Request, database: DatabaseDep) -> AsyncGenerator[AsyncSession]:
    """Open the session of a request: read-only for GET, otherwise a transaction."""
    sessions = database.read_only() if request.method == "GET" else transaction(database.write)
    async with sessions as session:
        yield session


# Always use this alias: FastAPI would treat a different declaration as another dependency, with a second transaction.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]


@asynccontextmanager
async def open_read_session(database: Database) -> AsyncGenerator[AsyncSession]:
    """Open a short read-only transaction, separate from that of the request, for example in a streaming response.

    Shielded from cancellation: a client that disconnects would otherwise also cancel the cleanup of the session.
    """
    with anyio.CancelScope(shield=True):
        async with transaction(database.read_transaction) as session:
            yield session


async def check(runtime: Runtime) -> None:
    """Check the database connection.

    Raises:
        SQLAlchemyError: If the database is unavailable.
    """
    async with transaction(runtime[Database].health) as session:
        await (await session.connection()).execute(text("SELECT 1"))
