"""Deleting what has expired, whatever the table."""

from sqlalchemy import inspect
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import Expiring, utc_now

BATCH = 10_000  # so that no statement takes longer than any may


async def purge(session: AsyncSession, batch_size: int = BATCH) -> int:
    """Delete the rows that have expired, and return how many there were."""
    return sum([await _purge(session, table, batch_size) for table in Expiring.__subclasses__()])


async def _purge(session: AsyncSession, table: type[Expiring], batch_size: int) -> int:
    key, now, count = inspect(table).primary_key[0], utc_now(), 0
    while True:
        batch = select(key).where(col(table.expires_at) < now).limit(batch_size)
        deleted = (await session.exec(delete(table).where(key.in_(batch)))).rowcount
        count += deleted
        if deleted < batch_size:
            return count
