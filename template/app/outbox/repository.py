"""How rows of the outbox are found, taken, and done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.outbox.models import OutboxEvent

# The session remembers that there is something for the relay; whoever can wake it looks here (notify.py).
WAKE_RELAY = "the relay has something to do"
ERROR_LENGTH = 1000
ALIVE = col(OutboxEvent.dead_at).is_(None)
UNTAKEN = (col(OutboxEvent.taken_until).is_(None), ALIVE)


class OutboxRepository:
    """The rows, for those who add them, do them, and look after the dead.

    Every change names the state that it expects, so of two at once only one succeeds.
    """

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    def add(self, event: OutboxEvent) -> None:
        """Let something be done after the commit, and never if there is none."""
        self.session.add(event)
        self._wake_relay()

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
            self._wake_relay()  # the next of this key may go
        deleted = await self.session.exec(delete(OutboxEvent).where(*_mine(event)))
        return bool(deleted.rowcount)

    async def again(self, event: OutboxEvent, at: datetime, error: str) -> None:
        """Let it wait for its next attempt."""
        values = {"sent_at": None, "taken_until": None, "next_attempt_at": at, "last_error": _storable(error)}
        await self._update([*_mine(event)], **values)

    async def release(self, event: OutboxEvent, at: datetime, why: str = "") -> None:
        """Give it back as if it had not been taken, to be sent again from a moment on."""
        values = {"sent_at": None, "taken_until": None, "next_attempt_at": at, "attempts": event.attempts - 1}
        values["last_error"] = why or event.last_error
        await self._update([*_mine(event)], **values)

    async def bury(self, event: OutboxEvent, error: str) -> None:
        """Keep it for a person, and let the next of its key go."""
        self._wake_relay()
        await self._update([*_mine(event)], taken_until=None, dead_at=utc_now(), last_error=_storable(error))

    async def dead(self, limit: int) -> Sequence[OutboxEvent]:
        """List the dead letters, oldest first."""
        query = select(OutboxEvent).where(col(OutboxEvent.dead_at).is_not(None)).order_by(col(OutboxEvent.number))
        return (await self.session.exec(query.limit(limit))).all()

    async def dead_letter(self, event_id: UUID) -> OutboxEvent | None:
        """Find a dead letter."""
        return (await self.session.exec(select(OutboxEvent).where(*_dead([event_id])))).one_or_none()

    async def replay(self, ids: Sequence[UUID] | None) -> int:
        """Give dead letters another try, all of them if none is named; return how many there were."""
        self._wake_relay()
        return await self._update(
            _dead(ids), dead_at=None, sent_at=None, taken_until=None, next_attempt_at=None, due_at=utc_now(), attempts=0
        )

    async def drop(self, ids: Sequence[UUID] | None) -> int:
        """Delete dead letters, all of them if none is named; return how many there were."""
        return (await self.session.exec(delete(OutboxEvent).where(*_dead(ids)))).rowcount

    async def unfinished(self, key: str) -> bool:
        """Tell whether there is a row of a key that is not done and not dead."""
        which = exists().where(col(OutboxEvent.key) == key, ALIVE)
        return bool((await self.session.exec(select(which))).one())

    async def counts(self) -> dict[str, tuple[int, datetime | None]]:
        """Count the rows by their state, with the moment since which the oldest could have been done."""
        states = {
            "waiting": [col(OutboxEvent.sent_at).is_(None), ALIVE],
            "sent": [col(OutboxEvent.sent_at).is_not(None), *UNTAKEN],
            "taken": [col(OutboxEvent.taken_until).is_not(None)],
            "dead": [col(OutboxEvent.dead_at).is_not(None)],
        }
        query = select(func.count(), func.min(col(OutboxEvent.due_at)))
        return {state: (await self.session.exec(query.where(*which))).one() for state, which in states.items()}

    async def _update(self, which: Sequence[ColumnElement[bool]], **values: Any) -> int:
        return (await self.session.exec(update(OutboxEvent).where(*which).values(**values))).rowcount

    def _wake_relay(self) -> None:
        self.session.info[WAKE_RELAY] = True


def _mine(event: OutboxEvent) -> tuple[ColumnElement[bool], ...]:
    """Whoever takes a row counts the attempt, so the number of attempts tells whose it is."""
    taken = col(OutboxEvent.taken_until).is_not(None)
    # By its id: SQLite gives the number of a row that is gone to a new one.
    return col(OutboxEvent.id) == event.id, col(OutboxEvent.attempts) == event.attempts, taken


def _dead(ids: Sequence[UUID] | None) -> list[ColumnElement[bool]]:
    which = [col(OutboxEvent.dead_at).is_not(None)]
    return which if ids is None else [*which, col(OutboxEvent.id).in_(ids)]


def _storable(error: str) -> str:
    return error.replace("\x00", "")[:ERROR_LENGTH]
