"""Sessions and transactions. This is the only file of the project that commits.

One request is one transaction: returning commits it, raising takes it back. The
commit happens before the answer leaves (`scope="function"`; FastAPI's default would
commit after the client has been told that all went well).

Requests that only read (GET) get a session that cannot write. On PostgreSQL each of its
statements stands by itself: to begin and to end a transaction around a read would cost two
more round trips, and show nothing else, for each statement sees what is committed when it
begins (READ COMMITTED).
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession

Sessions = async_sessionmaker[AsyncSession]


@dataclass(frozen=True)
class Database:
    """Where sessions come from.

    `writers` may write; `readers` see one transaction, and may not. `lookups` are for requests that only read: they may
    not write either, and may do without a transaction. The probe has a connection of its own, so that a busy pool does
    not look like a database that is away.
    """

    writers: Sessions
    readers: Sessions
    lookups: Sessions
    probe: Sessions

    @classmethod
    def on(cls, writing: AsyncEngine, reading: AsyncEngine, looking: AsyncEngine, probing: AsyncEngine) -> "Database":
        """Make sessions for four engines on the same database."""
        return cls(_sessions(writing), _sessions(reading), _sessions(looking), _sessions(probing))


def _sessions(engine: AsyncEngine) -> Sessions:
    """Objects stay readable after the commit: answers are built from them."""
    return async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncGenerator[AsyncSession]:
    """Open a session, commit if the block returns, roll back if it raises.

    Requests that write, commands and background processes all come through here.
    """
    async with sessions.begin() as session:
        yield session


async def get_database(request: Request) -> Database:
    """Return the database that the app has opened."""
    database: Database = request.app.state.database
    return database


DatabaseDep = Annotated[Database, Depends(get_database)]


async def get_session(request: Request, database: DatabaseDep) -> AsyncGenerator[AsyncSession]:
    """Open the transaction of this request; one that only reads has nothing to commit."""
    sessions = database.lookups() if request.method == "GET" else transaction(database.writers)
    async with sessions as session:
        yield session


# Always use this alias: a second spelling of the dependency would be a second transaction.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]


@asynccontextmanager
async def brief_read(database: Database) -> AsyncGenerator[AsyncSession]:
    """Look into the database from an answer that goes on, and hold no connection afterwards.

    Shielded: a client that leaves would otherwise cancel the clean-up of the session too.
    """
    with anyio.CancelScope(shield=True):
        async with transaction(database.readers) as session:
            yield session


async def check(app: FastAPI) -> None:
    """Ask the database for an answer; raises if there is none."""
    async with transaction(app.state.database.probe) as session:
        await (await session.connection()).execute(text("SELECT 1"))
