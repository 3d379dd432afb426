"""Deletes expired rows every night."""

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db import expiry
from app.workers.schedule import Missed, periodic
from app.workers.task import Queue, task

logger = structlog.get_logger(__name__)


@periodic("17 3 * * *", missed=Missed.ONCE)
@task(seconds=600, queue=Queue.LOW)
async def purge_expired(session: AsyncSession) -> None:
    """Delete the expired rows of all tables, such as idempotency keys."""
    logger.info("expired rows deleted", count=await expiry.purge(session))
