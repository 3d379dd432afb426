"""Job queries for relays and workers."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.outbox.models import OutboxEvent
from app.outbox.repository import ALIVE, UNTAKEN, storable, wake_relay

DESTINATION = "workers"
OURS = col(OutboxEvent.destination) == DESTINATION


class JobRepository:
    """Finds jobs and changes their state.

    Every change names the state it expects, so of two concurrent changes only one succeeds.
    """

    def __init__(self, session: AsyncSession) -> None:
        """Use the transaction of `session`."""
        self.session = session

    async def due(self, limit: int) -> Sequence[OutboxEvent]:
        """Lock and return the jobs to send, oldest first. Skips rows that another relay has locked.

        Of the jobs with the same key, returns only the oldest that is not dead, and none while one of them is sent.
        """
        query = select(OutboxEvent).where(*_due()).order_by(col(OutboxEvent.number)).limit(limit)
        return (await self.session.exec(query.with_for_update(skip_locked=True))).all()

    async def anything_due(self) -> bool:
        """Return whether there is a job to send.

        Sorting is faster than EXISTS here: PostgreSQL walks along the index of pending rows and stops at the first;
        for EXISTS, it may join all pending rows with all pending rows.
        """
        query = select(col(OutboxEvent.number)).where(*_due()).order_by(col(OutboxEvent.number)).limit(1)
        return (await self.session.exec(query)).first() is not None

    async def anything_left(self, suspect_after: timedelta) -> bool:
        """Return whether a job may have been lost after it was sent."""
        left = or_(exists().where(*_left_behind()), exists().where(*_suspect(suspect_after)))
        return bool((await self.session.exec(select(left))).one())

    async def sent(self, events: Iterable[OutboxEvent]) -> None:
        """Mark jobs as sent."""
        await self._update(_these(events), sent_at=utc_now())

    async def suspects(self, suspect_after: timedelta, limit: int) -> Sequence[OutboxEvent]:
        """Return jobs that were sent a while ago and are not running, oldest first."""
        query = select(OutboxEvent).where(*_suspect(suspect_after)).order_by(col(OutboxEvent.sent_at)).limit(limit)
        return (await self.session.exec(query)).all()

    async def look_at_again(self, events: Iterable[OutboxEvent]) -> None:
        """Mark that the destination still has these jobs, so that others are checked first."""
        sent = col(OutboxEvent.sent_at).is_not(None)
        await self._update([*_these(events), sent, *UNTAKEN], sent_at=utc_now())

    async def send_again(self, events: Iterable[OutboxEvent]) -> int:
        """Send jobs again that a destination has lost; return their number."""
        return await self._update([*_these(events), *UNTAKEN], sent_at=None)

    async def take_back(self) -> int:
        """Send jobs again whose worker did not finish in time; return their number.

        Skips locked rows, so a worker that hangs in a transaction does not block the relay.
        """
        late = select(col(OutboxEvent.number)).where(*_left_behind()).with_for_update(skip_locked=True)
        return await self._update([col(OutboxEvent.number).in_(late)], sent_at=None, taken_until=None)

    async def find(self, event_id: UUID) -> OutboxEvent | None:
        """Lock and return a job that was sent and is not running, or return None."""
        free = or_(col(OutboxEvent.taken_until).is_(None), col(OutboxEvent.taken_until) < utc_now())
        query = select(OutboxEvent).where(
            col(OutboxEvent.id) == event_id,
            col(OutboxEvent.sent_at).is_not(None),
            col(OutboxEvent.dead_at).is_(None),
            free,
        )
        return (await self.session.exec(query.with_for_update())).one_or_none()

    async def done(self, event: OutboxEvent) -> bool:
        """Delete a finished job; return False if another worker has taken it over."""
        if event.key is not None:
            wake_relay(self.session)  # the next job with this key is due
        deleted = await self.session.exec(delete(OutboxEvent).where(*_mine(event)))
        return bool(deleted.rowcount)

    async def again(self, event: OutboxEvent, at: datetime, error: str) -> None:
        """Schedule the next attempt."""
        values = {"sent_at": None, "taken_until": None, "next_attempt_at": at, "last_error": storable(error)}
        await self._update([*_mine(event)], **values)

    async def release(self, event: OutboxEvent, at: datetime, why: str = "") -> None:
        """Release a job, to be sent again from `at` on. The attempt does not count."""
        values = {"sent_at": None, "taken_until": None, "next_attempt_at": at, "attempts": event.attempts - 1}
        values["last_error"] = why or event.last_error
        await self._update([*_mine(event)], **values)

    async def bury(self, event: OutboxEvent, error: str) -> None:
        """Make a job a dead letter. The next job with its key is then due."""
        wake_relay(self.session)
        await self._update([*_mine(event)], taken_until=None, dead_at=utc_now(), last_error=storable(error))

    async def unfinished(self, key: str) -> bool:
        """Return whether there is a job with this key that is neither finished nor dead."""
        which = exists().where(col(OutboxEvent.key) == key, ALIVE)
        return bool((await self.session.exec(select(which))).one())

    async def _update(self, which: Sequence[ColumnElement[bool]], **values: Any) -> int:
        return (await self.session.exec(update(OutboxEvent).where(*which).values(**values))).rowcount


def _due() -> tuple[ColumnElement[bool], ...]:
    other = aliased(OutboxEvent)
    next_attempt_at = col(OutboxEvent.next_attempt_at)
    return (
        OURS,
        col(OutboxEvent.sent_at).is_(None),
        ALIVE,
        or_(next_attempt_at.is_(None), next_attempt_at <= utc_now()),
        ~exists().where(
            col(other.key) == col(OutboxEvent.key),
            col(other.destination) == col(OutboxEvent.destination),
            # Numbers are assigned before the commit, so a job that was sent already may have a higher one.
            or_(col(other.number) < col(OutboxEvent.number), col(other.sent_at).is_not(None)),
            col(other.dead_at).is_(None),
        ),
    )


def _left_behind() -> tuple[ColumnElement[bool], ...]:
    taken = col(OutboxEvent.taken_until)
    # IS NOT NULL looks redundant, but PostgreSQL needs it: for a timestamp that it does not know yet (a prepared
    # statement) it estimates that a third of all rows are earlier, and scans the table instead of the small index.
    return OURS, taken.is_not(None), taken < utc_now()


def _suspect(after: timedelta) -> tuple[ColumnElement[bool], ...]:
    return OURS, col(OutboxEvent.sent_at) < utc_now() - after, *UNTAKEN


def _mine(event: OutboxEvent) -> tuple[ColumnElement[bool], ...]:
    """Match a job only while this attempt runs: each attempt increments the number that is compared."""
    taken = col(OutboxEvent.taken_until).is_not(None)
    # By id: SQLite reuses the numbers of deleted rows.
    return col(OutboxEvent.id) == event.id, col(OutboxEvent.attempts) == event.attempts, taken


def _these(events: Iterable[OutboxEvent]) -> tuple[ColumnElement[bool], ...]:
    """Match by id: SQLite reuses the numbers of deleted rows."""
    return (col(OutboxEvent.id).in_([event.id for event in events]),)
