"""Business rules for to-dos."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import publish
from app.core.exceptions import ConflictError, NotFoundError
from app.core.pagination import PageParams
from app.core.preconditions import Precondition
from app.db.keyset import Row
from app.modules.todo.events import TodoChanged, TodoCompleted, TodoCreated, TodoDeleted
from app.modules.todo.models import Todo, TodoStatus
from app.modules.todo.repository import TodoRepository
from app.modules.todo.schemas import TodoCreate, TodoFilter, TodoOrder, TodoUpdate

NEXT_STATUS: Mapping[TodoStatus, frozenset[TodoStatus]] = {
    TodoStatus.OPEN: frozenset({TodoStatus.IN_PROGRESS, TodoStatus.DONE, TodoStatus.CANCELLED}),
    TodoStatus.IN_PROGRESS: frozenset({TodoStatus.OPEN, TodoStatus.DONE, TodoStatus.CANCELLED}),
    TodoStatus.DONE: frozenset({TodoStatus.OPEN}),
    TodoStatus.CANCELLED: frozenset({TodoStatus.OPEN}),
}


class TodoNotFound(NotFoundError):
    """The owner has no to-do with this id."""

    message = "There is no to-do with this id."


class IllegalTransition(ConflictError):
    """The to-do's status cannot change to the requested one."""

    message = "The status of the to-do cannot change to the requested one."


class TodoService:
    """Business rules for the to-dos of one owner."""

    def __init__(self, session: AsyncSession, owner_id: UUID, todos: TodoRepository | None = None) -> None:
        self.session = session
        self.owner_id = owner_id
        self.todos = todos or TodoRepository(session)

    async def create(self, data: TodoCreate) -> Todo:
        """Create a to-do.

        Raises:
            OwnerGone: If the owner does not exist.
        """
        todo = await self.todos.save(Todo(owner_id=self.owner_id, **data.model_dump()))
        await publish(self.session, TodoCreated(owner_id=self.owner_id, todo_id=todo.id))
        return todo

    async def get(self, todo_id: UUID) -> Todo:
        """Return one of the owner's to-dos.

        Raises:
            TodoNotFound: If there is no to-do with this id, or it has another owner.
        """
        if todo := await self.todos.get(self.owner_id, todo_id):
            return todo
        raise TodoNotFound

    async def page(self, filters: TodoFilter, order: TodoOrder, params: PageParams) -> tuple[Sequence[Row], str | None]:
        """Return a page of the owner's to-dos and the cursor of the next page."""
        return await self.todos.page(self.owner_id, filters, order, params)

    async def update(self, todo_id: UUID, data: TodoUpdate, precondition: Precondition) -> Todo:
        """Update a to-do.

        Raises:
            TodoNotFound: If there is no to-do with this id, or it has another owner.
            PreconditionFailedError: If the to-do has changed since the client read it.
            IllegalTransition: If the status cannot change to the new one.
        """
        todo = await self.get(todo_id)
        precondition.check(todo)
        sent = data.model_dump(exclude_unset=True)
        changes = {field: value for field, value in sent.items() if value != getattr(todo, field)}
        _check_transition(todo.status, changes.get("status", todo.status))
        if changes:
            todo.sqlmodel_update(changes)
            await self.todos.save(todo)
            await publish(self.session, TodoChanged(owner_id=self.owner_id, todo_id=todo.id))
        if changes.get("status") == TodoStatus.DONE:
            await publish(self.session, TodoCompleted(owner_id=self.owner_id, todo_id=todo.id))
        return todo

    async def delete(self, todo_id: UUID, precondition: Precondition) -> None:
        """Delete a to-do.

        Raises:
            TodoNotFound: If there is no to-do with this id, or it has another owner.
            PreconditionFailedError: If the to-do has changed since the client read it.
        """
        todo = await self.get(todo_id)
        precondition.check(todo)
        await self.todos.delete(todo)
        await publish(self.session, TodoDeleted(owner_id=self.owner_id, todo_id=todo_id))


def _check_transition(current: TodoStatus, requested: TodoStatus) -> None:
    if requested != current and requested not in NEXT_STATUS[current]:
        raise IllegalTransition(f"The status of a to-do cannot change from {current} to {requested}.")
