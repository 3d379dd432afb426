"""What a relay finds in the outbox, of what is for its destination."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, exists, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.outbox.models import OutboxEvent
from app.outbox.repository import ALIVE, UNTAKEN


class RelayRepository:
    """The rows of one destination, as a relay sees them: due, sent, lost, left behind."""

    def __init__(self, session: AsyncSession, destination: str) -> None:
        """Work inside the transaction of `session`."""
        self.session = session
        self.ours = col(OutboxEvent.destination) == destination

    async def due(self, limit: int) -> Sequence[OutboxEvent]:
        """Lock the rows that are to be sent, oldest first. Rows that another relay has locked are left to it.

        Of each key only the oldest that is not dead comes, and it comes alone until it is done.
        """
        query = select(OutboxEvent).where(*self._due()).order_by(col(OutboxEvent.number)).limit(limit)
        return (await self.session.exec(query.with_for_update(skip_locked=True))).all()

    async def anything_due(self) -> bool:
        """Tell whether there is something to be sent."""
        return bool((await self.session.exec(select(exists().where(*self._due())))).one())

    async def anything_left(self, suspect_after: timedelta) -> bool:
        """Tell whether something may have been lost after it was sent."""
        left = or_(exists().where(*self._left_behind()), exists().where(*self._suspect(suspect_after)))
        return bool((await self.session.exec(select(left))).one())

    async def sent(self, events: Iterable[OutboxEvent]) -> None:
        """Note that a destination has them."""
        await self._update(_these(events), sent_at=utc_now())

    async def suspects(self, suspect_after: timedelta, limit: int) -> Sequence[OutboxEvent]:
        """List what was sent a while ago and was not taken, oldest first."""
        query = select(OutboxEvent).where(*self._suspect(suspect_after)).order_by(col(OutboxEvent.sent_at)).limit(limit)
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
        late = select(col(OutboxEvent.number)).where(*self._left_behind()).with_for_update(skip_locked=True)
        return await self._update([col(OutboxEvent.number).in_(late)], sent_at=None, taken_until=None)

    async def _update(self, which: Sequence[ColumnElement[bool]], **values: Any) -> int:
        return (await self.session.exec(update(OutboxEvent).where(*which).values(**values))).rowcount

    def _due(self) -> tuple[ColumnElement[bool], ...]:
        other = aliased(OutboxEvent)
        next_attempt_at = col(OutboxEvent.next_attempt_at)
        return (
            self.ours,
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

    def _left_behind(self) -> tuple[ColumnElement[bool], ...]:
        return self.ours, col(OutboxEvent.taken_until) < utc_now()

    def _suspect(self, after: timedelta) -> tuple[ColumnElement[bool], ...]:
        return self.ours, col(OutboxEvent.sent_at) < utc_now() - after, *UNTAKEN


def _these(events: Iterable[OutboxEvent]) -> tuple[ColumnElement[bool], ...]:
    """By their ids: SQLite gives the number of a row that is gone to a new one."""
    return (col(OutboxEvent.id).in_([event.id for event in events]),)
