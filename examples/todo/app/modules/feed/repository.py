"""Feed queries. Every query is scoped to one owner."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, insert, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.modules.feed.models import TodoChange, TodoFeed
from app.modules.todo.models import Todo

MAX_STORED_CHANGES = 1_000
CHANGES_PAGE_SIZE = 100
PRUNE_INTERVAL = 100  # changes; deleting old changes on every write would cost an additional statement each time

_NEXT_CHANGE_NUMBER = text(
    "INSERT INTO todo_feed (owner_id, last) VALUES (:owner_id, 1) "
    "ON CONFLICT (owner_id) DO UPDATE SET last = todo_feed.last + 1 RETURNING last"
).bindparams(bindparam("owner_id", type_=Uuid()))


class FeedRepository:
    """Feed queries."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add_change(
        self,
        owner_id: UUID,
        todo_id: UUID,
        kind: str,
        max_changes: int = MAX_STORED_CHANGES,
        prune_interval: int = PRUNE_INTERVAL,
    ) -> None:
        """Store a change. Every `prune_interval` changes, delete the oldest.

        Incrementing the number locks the owner's counter until the commit. So changes become visible in the
        order of their numbers, and a client of the feed never misses one.
        """
        connection = await self.session.connection()
        number = (await connection.execute(_NEXT_CHANGE_NUMBER, {"owner_id": owner_id})).scalar_one()
        change = {"owner_id": owner_id, "number": number, "kind": kind, "todo_id": todo_id, "occurred_at": utc_now()}
        await connection.execute(insert(TodoChange), change)
        if number % prune_interval == 0:
            of_owner, old = col(TodoChange.owner_id) == owner_id, col(TodoChange.number) <= number - max_changes
            await connection.execute(delete(TodoChange).where(of_owner, old))

    async def last_change(self, owner_id: UUID) -> int:
        """Return the number of the owner's last change, 0 if there was none yet."""
        feed = await self.session.get(TodoFeed, owner_id)
        return feed.last if feed else 0

    async def changes(
        self, owner_id: UUID, after: int, limit: int = CHANGES_PAGE_SIZE
    ) -> Sequence[tuple[TodoChange, Todo | None]]:
        """Return the owner's changes after a change number, each with the current state of the to-do."""
        query = (
            select(TodoChange, Todo)
            .join(Todo, col(Todo.id) == col(TodoChange.todo_id), isouter=True)
            .where(col(TodoChange.owner_id) == owner_id, col(TodoChange.number) > after)
            .order_by(col(TodoChange.number))
            .limit(limit)
        )
        return (await self.session.exec(query)).all()
