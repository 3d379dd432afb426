"""Deletes expired rows of all tables."""

from collections.abc import AsyncGenerator, Iterator

from sqlalchemy import inspect
from sqlmodel import col, delete, select

from app.db.base import Expiring, utc_now
from app.db.session import Database, transaction

ROWS_PER_STATEMENT = 10_000  # limits the duration of a statement, and how long it blocks other writers


async def delete_expired(database: Database, batch_size: int = ROWS_PER_STATEMENT) -> AsyncGenerator[tuple[str, int]]:
    """Delete the rows that have expired by now, in batches.

    Each batch is one transaction. After its commit, the name of the table and the number of deleted rows are yielded,
    so that the caller can report the progress or stop.
    """
    now = utc_now()
    for table in _tables(Expiring):
        key, expired = inspect(table).primary_key[0], col(table.expires_at) < now
        deleted = batch_size
        while deleted >= batch_size:
            batch = select(key).where(expired).limit(batch_size)
            async with transaction(database.write) as session:
                # If the key has several columns, valid rows may share the first one.
                deleted = (await session.exec(delete(table).where(key.in_(batch), expired))).rowcount
            if deleted:
                yield str(table.__tablename__), deleted


def _tables(base: type[Expiring]) -> Iterator[type[Expiring]]:
    for child in base.__subclasses__():
        if hasattr(child, "__table__"):
            yield child
        yield from _tables(child)
