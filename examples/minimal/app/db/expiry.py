"""Deletes expired rows of all tables."""

from sqlalchemy import inspect
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import Expiring, utc_now

BATCH = 10_000  # limits the duration of a statement


async def delete_expired(session: AsyncSession, batch_size: int = BATCH) -> int:
    """Delete all expired rows in batches, and return their number."""
    return sum([await _purge(session, table, batch_size) for table in Expiring.__subclasses__()])


async def _purge(session: AsyncSession, table: type[Expiring], batch_size: int) -> int:
    key, now, count = inspect(table).primary_key[0], utc_now(), 0
    while True:
        batch = select(key).where(col(table.expires_at) < now).limit(batch_size)
        deleted = (await session.exec(delete(table).where(key.in_(batch)))).rowcount
        count += deleted
        if deleted < batch_size:
            return count
