"""Rows of the outbox, whatever they are for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func
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
    """The rows, for those who add them, and for those who look after the dead."""

    def __init__(self, session: AsyncSession) -> None:
        """Work inside the transaction of `session`."""
        self.session = session

    def add(self, event: OutboxEvent) -> None:
        """Let something be done after the commit, and never if there is none."""
        self.session.add(event)
        wake_relay(self.session)

    async def dead(self, limit: int) -> Sequence[OutboxEvent]:
        """List the dead letters, oldest first."""
        query = select(OutboxEvent).where(col(OutboxEvent.dead_at).is_not(None)).order_by(col(OutboxEvent.number))
        return (await self.session.exec(query.limit(limit))).all()

    async def dead_letter(self, event_id: UUID) -> OutboxEvent | None:
        """Find a dead letter."""
        return (await self.session.exec(select(OutboxEvent).where(*_dead([event_id])))).one_or_none()

    async def replay(self, ids: Sequence[UUID] | None) -> int:
        """Give dead letters another try, all of them if none is named; return how many there were."""
        wake_relay(self.session)
        return await self._update(
            _dead(ids), dead_at=None, sent_at=None, taken_until=None, next_attempt_at=None, due_at=utc_now(), attempts=0
        )

    async def drop(self, ids: Sequence[UUID] | None) -> int:
        """Delete dead letters, all of them if none is named; return how many there were."""
        return (await self.session.exec(delete(OutboxEvent).where(*_dead(ids)))).rowcount

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


def wake_relay(session: AsyncSession) -> None:
    """Say that there is something for the relay once `session` is committed."""
    session.info[WAKE_RELAY] = True


def storable(error: str) -> str:
    """Make an error fit into its column."""
    return error.replace("\x00", "")[:ERROR_LENGTH]


def _dead(ids: Sequence[UUID] | None) -> list[ColumnElement[bool]]:
    which = [col(OutboxEvent.dead_at).is_not(None)]
    return which if ids is None else [*which, col(OutboxEvent.id).in_(ids)]
