"""Deleting what has expired, whatever the table."""

from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import Expiring, utc_now


async def purge(session: AsyncSession) -> int:
    """Delete the rows that have expired, and return how many there were."""
    now = utc_now()
    tables = Expiring.__subclasses__()
    return sum([(await session.exec(delete(table).where(col(table.expires_at) < now))).rowcount for table in tables])
