"""How jobs are found, sent, taken, and done."""

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
    """The rows that are jobs, for relays and for workers.

    Every change names the state that it expects, so of two at once only one succeeds.
    """

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    async def due(self, limit: int) -> Sequence[OutboxEvent]:
        """Lock the rows that are to be sent, oldest first. Rows that another relay has locked are left to it.

        Of each key only the oldest that is not dead comes, and it comes alone until it is done.
        """
        query = select(OutboxEvent).where(*_due()).order_by(col(OutboxEvent.number)).limit(limit)
        return (await self.session.exec(query.with_for_update(skip_locked=True))).all()

    async def anything_due(self) -> bool:
        """Tell whether there is something to be sent.

        The oldest is asked for, though any would do: PostgreSQL then walks along the index of those that wait, and stops at
        the first, where for EXISTS it may join everything that waits with everything that waits.
        """
        query = select(col(OutboxEvent.number)).where(*_due()).order_by(col(OutboxEvent.number)).limit(1)
        return (await self.session.exec(query)).first() is not None

    async def anything_left(self, suspect_after: timedelta) -> bool:
        """Tell whether something may have been lost after it was sent."""
        left = or_(exists().where(*_left_behind()), exists().where(*_suspect(suspect_after)))
        return bool((await self.session.exec(select(left))).one())

    async def sent(self, events: Iterable[OutboxEvent]) -> None:
        """Note that a destination has them."""
        await self._update(_these(events), sent_at=utc_now())

    async def suspects(self, suspect_after: timedelta, limit: int) -> Sequence[OutboxEvent]:
        """List what was sent a while ago and was not taken, oldest first."""
        query = select(OutboxEvent).where(*_suspect(suspect_after)).order_by(col(OutboxEvent.sent_at)).limit(limit)
        return (await self.session.exec(query)).all()

    async def look_at_again(self, events: Iterable[OutboxEvent]) -> None:
        """Note that a destination still has them, so that others are looked at first."""
        sent = col(OutboxEvent.sent_at).is_not(None)
        await self._update([*_these(events), sent, *UNTAKEN], sent_at=utc_now())

    async def send_again(self, events: Iterable[OutboxEvent]) -> int:
        """Let those be sent again that a destination has lost; return how many there were."""
        return await self._update([*_these(events), *UNTAKEN], sent_at=None)

    async def take_back(self) -> int:
        """Let those be sent again whose worker did not end in time; return how many there were.

        A worker that hangs in the middle of a transaction keeps its row locked; nobody waits for that.
        """
        late = select(col(OutboxEvent.number)).where(*_left_behind()).with_for_update(skip_locked=True)
        return await self._update([col(OutboxEvent.number).in_(late)], sent_at=None, taken_until=None)

    async def find(self, event_id: UUID) -> OutboxEvent | None:
        """Find a row that was sent and that nobody works on, and lock it."""
        free = or_(col(OutboxEvent.taken_until).is_(None), col(OutboxEvent.taken_until) < utc_now())
        query = select(OutboxEvent).where(
            col(OutboxEvent.id) == event_id,
            col(OutboxEvent.sent_at).is_not(None),
            col(OutboxEvent.dead_at).is_(None),
            free,
        )
        return (await self.session.exec(query.with_for_update())).one_or_none()

    async def done(self, event: OutboxEvent) -> bool:
        """Delete the row, unless somebody else has taken it since."""
        if event.key is not None:
            wake_relay(self.session)  # the next of this key may go
        deleted = await self.session.exec(delete(OutboxEvent).where(*_mine(event)))
        return bool(deleted.rowcount)

    async def again(self, event: OutboxEvent, at: datetime, error: str) -> None:
        """Let it wait for its next attempt."""
        values = {"sent_at": None, "taken_until": None, "next_attempt_at": at, "last_error": storable(error)}
        await self._update([*_mine(event)], **values)

    async def release(self, event: OutboxEvent, at: datetime, why: str = "") -> None:
        """Give it back as if it had not been taken, to be sent again from a moment on."""
        values = {"sent_at": None, "taken_until": None, "next_attempt_at": at, "attempts": event.attempts - 1}
        values["last_error"] = why or event.last_error
        await self._update([*_mine(event)], **values)

    async def bury(self, event: OutboxEvent, error: str) -> None:
        """Keep it for a person, and let the next of its key go."""
        wake_relay(self.session)
        await self._update([*_mine(event)], taken_until=None, dead_at=utc_now(), last_error=storable(error))

    async def unfinished(self, key: str) -> bool:
        """Tell whether there is a row of a key that is not done and not dead."""
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
            # A number is given before the commit, so one that is under way may have a later number.
            or_(col(other.number) < col(OutboxEvent.number), col(other.sent_at).is_not(None)),
            col(other.dead_at).is_(None),
        ),
    )


def _left_behind() -> tuple[ColumnElement[bool], ...]:
    taken = col(OutboxEvent.taken_until)
    # That it is not empty goes without saying, but not for PostgreSQL: of a moment that it does not know yet (a prepared
    # statement) it guesses that a third of all rows are earlier, and reads all of them rather than the index of the few.
    return OURS, taken.is_not(None), taken < utc_now()


def _suspect(after: timedelta) -> tuple[ColumnElement[bool], ...]:
    return OURS, col(OutboxEvent.sent_at) < utc_now() - after, *UNTAKEN


def _mine(event: OutboxEvent) -> tuple[ColumnElement[bool], ...]:
    """Whoever takes a row counts the attempt, so the number of attempts tells whose it is."""
    taken = col(OutboxEvent.taken_until).is_not(None)
    # By its id: SQLite gives the number of a row that is gone to a new one.
    return col(OutboxEvent.id) == event.id, col(OutboxEvent.attempts) == event.attempts, taken


def _these(events: Iterable[OutboxEvent]) -> tuple[ColumnElement[bool], ...]:
    """By their ids: SQLite gives the number of a row that is gone to a new one."""
    return (col(OutboxEvent.id).in_([event.id for event in events]),)
