"""To-do queries. Every query is scoped to one owner."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Uuid, bindparam, delete, insert, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.exceptions import NotFoundError
from app.core.pagination import PageParams
from app.db.base import utc_now
from app.db.errors import map_integrity_errors
from app.db.keyset import Row, fetch_rows
from app.modules.todo.models import OWNER_FK, Todo, TodoChange, TodoFeed
from app.modules.todo.schemas import TodoFilter

MAX_STORED_CHANGES = 1_000
CHANGES_PAGE_SIZE = 100
PRUNE_INTERVAL = 100  # changes; deleting old changes on every write would cost an additional statement each time

# The only query of the most frequent request. Building it each time would add a tenth to the cost of that request.
_GET_TODO = select(Todo).where(col(Todo.id) == bindparam("todo_id"), col(Todo.owner_id) == bindparam("owner_id"))
_NEXT_CHANGE_NUMBER = text(
    "INSERT INTO todo_feed (owner_id, last) VALUES (:owner_id, 1) "
    "ON CONFLICT (owner_id) DO UPDATE SET last = todo_feed.last + 1 RETURNING last"
).bindparams(bindparam("owner_id", type_=Uuid()))


class OwnerGone(NotFoundError):
    """The owner does not exist or was deleted."""

    message = "There is no user with this id."


class TodoRepository:
    """To-do queries."""

    def __init__(self, session: AsyncSession) -> None:
        """Use the transaction of `session`."""
        self.session = session

    async def get(self, owner_id: UUID, todo_id: UUID) -> Todo | None:
        """Return one of the owner's to-dos."""
        return (await self.session.exec(_GET_TODO, params={"todo_id": todo_id, "owner_id": owner_id})).one_or_none()

    async def save(self, todo: Todo) -> Todo:
        """Insert or update a to-do.

        Raises:
            OwnerGone: If the owner does not exist. The foreign key checks this, so no additional query is needed.
        """
        self.session.add(todo)
        with map_integrity_errors({OWNER_FK: OwnerGone}):
            await self.session.flush()
        return todo

    async def delete(self, todo: Todo) -> None:
        """Delete a to-do."""
        await self.session.delete(todo)
        await self.session.flush()

    async def page(
        self, owner_id: UUID, filters: TodoFilter, order: str, params: PageParams
    ) -> tuple[Sequence[Row], str | None]:
        """Return a page of the owner's to-dos and the cursor of the next page.

        Sorting by due date omits to-dos without one.
        """
        query = select(Todo).where(col(Todo.owner_id) == owner_id)
        if filters.status is not None:
            query = query.where(col(Todo.status) == filters.status)
        if filters.due_from is not None:
            query = query.where(col(Todo.due_at) >= filters.due_from)
        if filters.due_before is not None:
            query = query.where(col(Todo.due_at) < filters.due_before)
        if order.endswith("due_at"):
            query = query.where(col(Todo.due_at).is_not(None))
        return await fetch_rows(self.session, query, Todo, order, params)

    async def add_change(
        self,
        owner_id: UUID,
        todo_id: UUID,
        kind: str,
        kept: int = MAX_STORED_CHANGES,
        forget_every: int = PRUNE_INTERVAL,
    ) -> None:
        """Store a change for the feed. Every `forget_every` changes, delete the oldest.

        Incrementing the number locks the owner's counter until the commit. So changes become visible in the
        order of their numbers, and a client of the feed never misses one.
        """
        connection = await self.session.connection()
        number = (await connection.execute(_NEXT_CHANGE_NUMBER, {"owner_id": owner_id})).scalar_one()
        change = {"owner_id": owner_id, "number": number, "kind": kind, "todo_id": todo_id, "occurred_at": utc_now()}
        await connection.execute(insert(TodoChange), change)
        if number % forget_every == 0:
            of_owner, old = col(TodoChange.owner_id) == owner_id, col(TodoChange.number) <= number - kept
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
