"""Deletes expired rows every night."""

import structlog

from app.db.expiry import delete_expired
from app.jobs.schedule import MissedRuns, periodic
from app.jobs.task import Job, Queue, non_transactional_task

logger = structlog.get_logger(__name__)


@periodic("17 3 * * *", missed=MissedRuns.ONCE)
@non_transactional_task(timeout_seconds=3600, queue=Queue.LOW)
async def purge_expired(job: Job) -> None:
    """Delete the expired rows of all tables, such as idempotency keys. A repeated run continues where it stopped."""
    count = 0
    async for _, deleted in delete_expired(job.database):
        count += deleted
        job.exit_if_stopping()
    logger.info("expired rows deleted", count=count)
