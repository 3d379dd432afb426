"""One process that leads, of several that could, as long as it lives.

The lock belongs to a transaction that stays open, so PostgreSQL gives it to another
process when this one ends, however it ends: killed, cut off, or frozen. SQLite has no such
locks: there, start one.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.session import Database, transaction

# Whoever leads says a word every few seconds; the server ends a transaction that is silent for so long. The number is
# the scheduler's among all that use such locks in its database.
LOCK = {
    "postgresql": "SELECT pg_try_advisory_xact_lock(5209272) "
    "FROM set_config('idle_in_transaction_session_timeout', '15s', true)",
    "sqlite": "SELECT true",
}


class Leadership:
    """What the process has that leads."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Keep the connection that holds the lock."""
        self._connection = connection

    async def confirm(self) -> None:
        """Keep it, every few seconds.

        Raises:
            SQLAlchemyError: If it is lost: the connection is gone, and the lock with it.
        """
        await self._connection.execute(text("SELECT 1"))


@asynccontextmanager
async def leading(database: Database) -> AsyncGenerator[Leadership | None]:
    """Try to lead while the block runs; nothing, if another process does."""
    async with transaction(database.readers) as session:
        connection = await session.connection()
        leads = (await connection.execute(text(LOCK[connection.dialect.name]))).scalar_one()
        yield Leadership(connection) if leads else None
