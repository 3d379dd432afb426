"""Handles replayed dead letters of consumers, with the consumer that failed."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.db.base import utc_now
from app.db.dialect import is_unavailable
from app.db.session import Database, transaction
from app.messaging import consumers
from app.messaging.envelope import CloudEvent
from app.messaging.inbox import TO_CONSUMERS
from app.outbox.errors import RetryLater, describe_error, error_fields
from app.outbox.models import OutboxMessage
from app.outbox.poller import OutboxPoller
from app.outbox.repository import NOT_DEAD, truncate_error

RETRY_DELAY = timedelta(seconds=30)  # before the next attempt, after `RetryLater`

logger = structlog.get_logger(__name__)


class DeadLetterReplay(OutboxPoller):
    """Polls for replayed dead letters, and handles them."""

    failure_event = "dead letter replay: polling failed, retrying"

    def __init__(self, database: Database, poll_seconds: float, only: Sequence[str] = ()) -> None:
        """Handle dead letters of the consumers with the names in `only`, or of all if it is empty."""
        super().__init__(database, poll_seconds)
        self.only = only

    async def run_once(self) -> int:
        """Handle the oldest replayed dead letter. Return 1 if there was one, otherwise 0."""
        async with transaction(self.database.read_transaction) as session:  # does not occupy SQLite's single writer
            if (await session.exec(self._oldest_replayed())).one_or_none() is None:
                return 0
        async with transaction(self.database.write) as session:
            message = (await session.exec(self._oldest_replayed().with_for_update(skip_locked=True))).one_or_none()
            if message is None:
                return 0
            try:
                async with session.begin_nested():
                    envelope = CloudEvent.model_validate_json(message.payload)
                    await consumers.get_consumer(message.queue).handle(session, [envelope])
            except RetryLater as error:
                logger.warning("dead letter replay postponed", dead_letter_id=str(message.id), **error_fields(error))
                message.due_at, message.last_error = utc_now() + RETRY_DELAY, truncate_error(describe_error(error))
            except Exception as error:
                if is_unavailable(error):
                    raise
                _mark_dead_again(message, error)
            else:
                logger.info("dead letter replayed", dead_letter_id=str(message.id), type=message.name)
                await session.delete(message)
        return 1

    def _oldest_replayed(self) -> SelectOfScalar[OutboxMessage]:
        query = select(OutboxMessage).where(col(OutboxMessage.destination) == TO_CONSUMERS, NOT_DEAD)
        query = query.where(col(OutboxMessage.due_at) <= utc_now())
        if self.only:
            query = query.where(col(OutboxMessage.queue).in_(self.only))
        return query.order_by(col(OutboxMessage.number)).limit(1)


def _mark_dead_again(message: OutboxMessage, error: Exception) -> None:
    logger.error("dead letter replay failed", dead_letter_id=str(message.id), **error_fields(error))
    message.dead_at, message.last_error = utc_now(), truncate_error(describe_error(error))
    message.attempts += 1
