"""Queries for outbox messages of any destination."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.outbox.models import MessageState, OutboxMessage

# Key in `session.info`: set when the relay has new work. Wake sources such as notify.py read it at commit.
WAKE_RELAY = "wake the relay"
MAX_ERROR_LENGTH = 1000
NOT_DEAD = col(OutboxMessage.dead_at).is_(None)
NOT_LEASED = (col(OutboxMessage.leased_until).is_(None), NOT_DEAD)


class OutboxRepository:
    """Adds outbox messages, counts them, and manages dead letters."""

    def __init__(self, session: AsyncSession) -> None:
        """Use the transaction of `session`."""
        self.session = session

    def add(self, message: OutboxMessage) -> None:
        """Add a message that is processed after the commit; a rollback discards it."""
        self.session.add(message)
        wake_relay(self.session)

    async def list_dead_letters(self, limit: int) -> Sequence[OutboxMessage]:
        """Return dead letters, oldest first."""
        query = select(OutboxMessage).where(col(OutboxMessage.dead_at).is_not(None)).order_by(col(OutboxMessage.number))
        return (await self.session.exec(query.limit(limit))).all()

    async def get_dead_letter(self, message_id: UUID) -> OutboxMessage | None:
        """Return a dead letter by id, or None."""
        return (await self.session.exec(select(OutboxMessage).where(*_is_dead([message_id])))).one_or_none()

    async def dead_letter_queues(self, ids: Sequence[UUID] | None) -> Sequence[tuple[str, str]]:
        """Return the destinations and queues of the dead letters with these ids (None: all of them)."""
        query = select(OutboxMessage.destination, OutboxMessage.queue).where(*_is_dead(ids)).distinct()
        return (await self.session.exec(query)).all()

    async def replay(self, ids: Sequence[UUID] | None) -> int:
        """Retry the dead letters with these ids (None: all of them), and return their number."""
        wake_relay(self.session)
        return await update_messages(
            self.session,
            _is_dead(ids),
            dead_at=None,
            sent_at=None,
            leased_until=None,
            next_attempt_at=None,
            due_at=utc_now(),
            attempts=0,
        )

    async def drop(self, ids: Sequence[UUID] | None) -> int:
        """Delete the dead letters with these ids (None: all of them), and return their number."""
        return (await self.session.exec(delete(OutboxMessage).where(*_is_dead(ids)))).rowcount

    async def count_messages(self) -> dict[tuple[str, MessageState], tuple[int, datetime]]:
        """Count messages by destination and state, with the timestamp since which the oldest one has been due.

        One statement, so one snapshot: a message that changes its state is neither missed nor counted twice.
        """
        state = case(
            (col(OutboxMessage.dead_at).is_not(None), MessageState.DEAD),
            (col(OutboxMessage.leased_until).is_not(None), MessageState.RUNNING),
            (col(OutboxMessage.sent_at).is_not(None), MessageState.SENT),
            else_=MessageState.PENDING,
        ).label("state")
        destination = col(OutboxMessage.destination)
        query = select(destination, state, func.count(), func.min(col(OutboxMessage.due_at)))
        rows = (await self.session.exec(query.group_by(destination, "state"))).all()
        return {(destination, MessageState(state)): (count, oldest) for destination, state, count, oldest in rows}


async def update_messages(session: AsyncSession, conditions: Iterable[ColumnElement[bool]], **values: Any) -> int:
    """Update the messages that fulfill all conditions, and return their number."""
    return (await session.exec(update(OutboxMessage).where(*conditions).values(**values))).rowcount


def wake_relay(session: AsyncSession) -> None:
    """Wake the relay when `session` is committed."""
    session.info[WAKE_RELAY] = True


def truncate_error(error: str) -> str:
    """Make an error message fit into its column."""
    return error.replace("\x00", "")[:MAX_ERROR_LENGTH]


def _is_dead(ids: Sequence[UUID] | None) -> list[ColumnElement[bool]]:
    is_dead = [col(OutboxMessage.dead_at).is_not(None)]
    return is_dead if ids is None else [*is_dead, col(OutboxMessage.id).in_(ids)]
