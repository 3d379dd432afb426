"""Deletes expired rows every night."""

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db import expiry
from app.jobs.schedule import MissedRuns, periodic
from app.jobs.task import Queue, task

logger = structlog.get_logger(__name__)


@periodic("17 3 * * *", missed=MissedRuns.ONCE)
@task(timeout_seconds=600, queue=Queue.LOW)
async def purge_expired(session: AsyncSession) -> None:
    """Delete the expired rows of all tables, such as idempotency keys."""
    logger.info("expired rows deleted", count=await expiry.delete_expired(session))
