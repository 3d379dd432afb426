"""Leader election: only one of several processes is the leader.

The lock belongs to a transaction that stays open, so PostgreSQL releases it when the process
ends, is killed, loses its connection or freezes. SQLite has no such locks; run only one process.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.session import Database, transaction

# The leader sends a statement every few seconds; the server ends a transaction that is idle for longer than the
# timeout. The number identifies the scheduler among all users of advisory locks in this database.
LOCK = {
    "postgresql": "SELECT pg_try_advisory_xact_lock(5209272) "
    "FROM set_config('idle_in_transaction_session_timeout', '15s', true)",
    "sqlite": "SELECT true",
}


class Leadership:
    """Holds the leader lock."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Store the connection that holds the lock."""
        self._connection = connection

    async def confirm(self) -> None:
        """Keep the lock; must be called every few seconds.

        Raises:
            SQLAlchemyError: If the connection is lost, and with it the lock.
        """
        await self._connection.execute(text("SELECT 1"))


@asynccontextmanager
async def leading(database: Database) -> AsyncGenerator[Leadership | None]:
    """Try to become the leader while the block runs; yields None if another process is the leader."""
    async with transaction(database.snapshot) as session:
        connection = await session.connection()
        leads = (await connection.execute(text(LOCK[connection.dialect.name]))).scalar_one()
        yield Leadership(connection) if leads else None
