"""Handles replayed dead letters of consumers, with the consumer that failed."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.db.base import utc_now
from app.db.errors import is_away
from app.db.session import Database, transaction
from app.events import consumers
from app.events.envelope import CloudEvent
from app.events.inbox import DESTINATION
from app.outbox.failures import TryAgain, said, traced
from app.outbox.models import OutboxEvent
from app.outbox.relay import Relay
from app.outbox.repository import ALIVE, storable

LATER = timedelta(seconds=30)  # before the next attempt, after `TryAgain`

logger = structlog.get_logger(__name__)


class Replays(Relay):
    """Polls for replayed dead letters, and handles them."""

    def __init__(self, database: Database, poll_seconds: float, only: Sequence[str] = ()) -> None:
        """Handle dead letters of the consumers with the names in `only`, or of all if it is empty."""
        super().__init__(database, poll_seconds)
        self.only = only

    async def run_once(self, look: bool = True) -> int:
        """Handle the oldest replayed dead letter, and return their number: 0 or 1."""
        async with transaction(self.database.readers) as looking:  # do not occupy SQLite's single writer needlessly
            if (await looking.exec(self._due())).one_or_none() is None:
                return 0
        async with transaction(self.database.writers) as session:
            letter = (await session.exec(self._due().with_for_update(skip_locked=True))).one_or_none()
            if letter is None:
                return 0
            try:
                async with session.begin_nested():
                    envelope = CloudEvent.model_validate_json(letter.payload)
                    await consumers.find(letter.queue).handle(session, [envelope])
            except TryAgain as error:
                logger.warning("dead letter replay postponed", job_id=str(letter.id), error=said(error))
                letter.due_at, letter.last_error = utc_now() + LATER, storable(said(error))
            except Exception as error:
                if is_away(error):
                    raise
                _bury_again(letter, error)
            else:
                logger.info("dead letter replayed", job_id=str(letter.id), type=letter.name)
                await session.delete(letter)
        return 1

    def _due(self) -> SelectOfScalar[OutboxEvent]:
        query = select(OutboxEvent).where(col(OutboxEvent.destination) == DESTINATION, ALIVE)
        query = query.where(col(OutboxEvent.due_at) <= utc_now())
        if self.only:
            query = query.where(col(OutboxEvent.queue).in_(self.only))
        return query.order_by(col(OutboxEvent.number)).limit(1)


def _bury_again(letter: OutboxEvent, error: Exception) -> None:
    logger.error("dead letter replay failed", job_id=str(letter.id), error=said(error), exception=traced(error))
    letter.dead_at, letter.last_error, letter.attempts = utc_now(), storable(said(error)), letter.attempts + 1
