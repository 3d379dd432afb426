"""Job queries for relays and workers."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.outbox.models import OutboxMessage
from app.outbox.repository import NOT_DEAD, NOT_LEASED, truncate_error, update_messages, wake_relay

TO_WORKERS = "workers"  # the queue is that of the task
IS_JOB = col(OutboxMessage.destination) == TO_WORKERS


class JobRepository:
    """Finds jobs and changes their state.

    Every change names the state it expects, so of two concurrent changes only one succeeds.
    """

    def __init__(self, session: AsyncSession) -> None:
        """Use the transaction of `session`."""
        self.session = session

    async def lock_due_jobs(self, limit: int) -> Sequence[OutboxMessage]:
        """Lock and return the jobs to send, oldest first. Skips rows that another relay has locked.

        Returns at most one job for each key: the oldest that is not dead, unless a job with this key is already sent.
        """
        query = select(OutboxMessage).where(*_is_due()).order_by(col(OutboxMessage.number)).limit(limit)
        return (await self.session.exec(query.with_for_update(skip_locked=True))).all()

    async def has_due_jobs(self) -> bool:
        """Return whether there is a job to send.

        Sorting is faster than EXISTS here: PostgreSQL walks along the index of pending rows and stops at the first;
        for EXISTS, it may join all pending rows with all pending rows.
        """
        query = select(col(OutboxMessage.number)).where(*_is_due()).order_by(col(OutboxMessage.number)).limit(1)
        return (await self.session.exec(query)).first() is not None

    async def may_need_requeue(self, unleased_after: timedelta) -> bool:
        """Return whether a lease has expired, or a job was sent longer ago than `unleased_after` and is not leased."""
        late = or_(exists().where(*_is_lease_expired()), exists().where(*_is_unleased(unleased_after)))
        return bool((await self.session.exec(select(late))).one())

    async def mark_sent(self, rows: Iterable[OutboxMessage]) -> None:
        """Mark jobs as sent."""
        await update_messages(self.session, _with_ids(rows), sent_at=utc_now())

    async def unleased_jobs(self, unleased_after: timedelta, limit: int) -> Sequence[OutboxMessage]:
        """Return jobs that were sent longer ago than `unleased_after` and are not leased, oldest first.

        They wait for a worker, or the destination has lost them.
        """
        query = select(OutboxMessage).where(*_is_unleased(unleased_after)).order_by(col(OutboxMessage.sent_at))
        return (await self.session.exec(query.limit(limit))).all()

    async def mark_still_queued(self, rows: Iterable[OutboxMessage]) -> None:
        """Set `sent_at` of jobs that the destination still has to the current time, so that others are checked first."""
        sent = col(OutboxMessage.sent_at).is_not(None)
        await update_messages(self.session, [*_with_ids(rows), sent, *NOT_LEASED], sent_at=utc_now())

    async def requeue(self, rows: Iterable[OutboxMessage]) -> int:
        """Make jobs pending again that were sent and are not leased; return their number."""
        return await update_messages(self.session, [*_with_ids(rows), *NOT_LEASED], sent_at=None)

    async def requeue_expired_leases(self) -> int:
        """Make jobs pending again whose worker did not finish before the lease expired; return their number.

        Skips locked rows, so a worker that hangs in a transaction does not block the relay.
        """
        late = select(col(OutboxMessage.number)).where(*_is_lease_expired()).with_for_update(skip_locked=True)
        return await update_messages(
            self.session, [col(OutboxMessage.number).in_(late)], sent_at=None, leased_until=None
        )

    async def lock_sent_job(self, job_id: UUID) -> OutboxMessage | None:
        """Lock and return a job that was sent and is not leased, or whose lease has expired. Otherwise return None."""
        is_free = or_(col(OutboxMessage.leased_until).is_(None), col(OutboxMessage.leased_until) < utc_now())
        query = select(OutboxMessage).where(
            col(OutboxMessage.id) == job_id,
            col(OutboxMessage.sent_at).is_not(None),
            col(OutboxMessage.dead_at).is_(None),
            is_free,
        )
        return (await self.session.exec(query.with_for_update())).one_or_none()

    async def complete(self, row: OutboxMessage) -> bool:
        """Delete a finished job; return False if another worker has leased it."""
        if row.key is not None:
            wake_relay(self.session)  # the next job with this key is due
        deleted = await self.session.exec(delete(OutboxMessage).where(*_is_current_attempt(row)))
        return bool(deleted.rowcount)

    async def schedule_retry(self, row: OutboxMessage, at: datetime, error: str) -> None:
        """Schedule the next attempt."""
        values = {"sent_at": None, "leased_until": None, "next_attempt_at": at, "last_error": truncate_error(error)}
        await update_messages(self.session, [*_is_current_attempt(row)], **values)

    async def release(self, row: OutboxMessage, at: datetime, reason: str = "") -> None:
        """Release a job, to be sent again from `at` on. The attempt does not count."""
        values = {"sent_at": None, "leased_until": None, "next_attempt_at": at, "attempts": row.attempts - 1}
        values["last_error"] = reason or row.last_error
        await update_messages(self.session, [*_is_current_attempt(row)], **values)

    async def move_to_dead_letters(self, row: OutboxMessage, error: str) -> None:
        """Make a job a dead letter. The next job with its key is then due."""
        wake_relay(self.session)
        await update_messages(
            self.session,
            [*_is_current_attempt(row)],
            leased_until=None,
            dead_at=utc_now(),
            last_error=truncate_error(error),
        )

    async def has_unfinished_job(self, key: str) -> bool:
        """Return whether there is a job with this key that is neither finished nor dead."""
        unfinished = exists().where(col(OutboxMessage.key) == key, NOT_DEAD)
        return bool((await self.session.exec(select(unfinished))).one())


def _is_due() -> tuple[ColumnElement[bool], ...]:
    other = aliased(OutboxMessage)
    next_attempt_at = col(OutboxMessage.next_attempt_at)
    return (
        IS_JOB,
        col(OutboxMessage.sent_at).is_(None),
        NOT_DEAD,
        or_(next_attempt_at.is_(None), next_attempt_at <= utc_now()),
        ~exists().where(
            col(other.key) == col(OutboxMessage.key),
            col(other.destination) == col(OutboxMessage.destination),
            # Numbers are assigned before the commit, so a job that was sent already may have a higher one.
            or_(col(other.number) < col(OutboxMessage.number), col(other.sent_at).is_not(None)),
            col(other.dead_at).is_(None),
        ),
    )


def _is_lease_expired() -> tuple[ColumnElement[bool], ...]:
    leased_until = col(OutboxMessage.leased_until)
    # IS NOT NULL looks redundant, but PostgreSQL needs it: for a timestamp that it does not know yet (a prepared
    # statement) it estimates that a third of all rows are earlier, and scans the table instead of the small index.
    return IS_JOB, leased_until.is_not(None), leased_until < utc_now()


def _is_unleased(after: timedelta) -> tuple[ColumnElement[bool], ...]:
    return IS_JOB, col(OutboxMessage.sent_at) < utc_now() - after, *NOT_LEASED


def _is_current_attempt(row: OutboxMessage) -> tuple[ColumnElement[bool], ...]:
    """Match a job only while this attempt runs: each attempt increments the number that is compared."""
    is_leased = col(OutboxMessage.leased_until).is_not(None)
    # By id: SQLite reuses the numbers of deleted rows.
    return col(OutboxMessage.id) == row.id, col(OutboxMessage.attempts) == row.attempts, is_leased


def _with_ids(rows: Iterable[OutboxMessage]) -> tuple[ColumnElement[bool], ...]:
    """Match by id: SQLite reuses the numbers of deleted rows."""
    return (col(OutboxMessage.id).in_([row.id for row in rows]),)
