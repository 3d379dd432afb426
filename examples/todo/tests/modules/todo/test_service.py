"""Business rules for to-dos, with a dictionary instead of the database."""

from itertools import product
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.events import Event
from app.core.preconditions import Precondition
from app.modules.todo.events import TodoChanged, TodoCompleted, TodoCreated, TodoDeleted
from app.modules.todo.models import Todo, TodoStatus
from app.modules.todo.repository import TodoRepository
from app.modules.todo.schemas import TodoCreate, TodoUpdate
from app.modules.todo.service import NEXT_STATUS, IllegalTransition, TodoNotFound, TodoService

ANY_VERSION = Precondition(None)


class InMemoryTodoRepository(TodoRepository):
    def __init__(self) -> None:
        self.todos: dict[UUID, Todo] = {}

    async def get(self, owner_id: UUID, todo_id: UUID) -> Todo | None:
        todo = self.todos.get(todo_id)
        return todo if todo and todo.owner_id == owner_id else None

    async def save(self, todo: Todo) -> Todo:
        self.todos[todo.id] = todo
        return todo

    async def delete(self, todo: Todo) -> None:
        del self.todos[todo.id]


@pytest.fixture
def service() -> TodoService:
    return TodoService(AsyncSession(), uuid4(), InMemoryTodoRepository())


async def test_each_change_publishes_event(service: TodoService, captured_events: list[Event]) -> None:
    todo = await service.create(TodoCreate(title="Buy milk"))
    await service.update(todo.id, TodoUpdate(title="Buy oats"), ANY_VERSION)
    await service.delete(todo.id, ANY_VERSION)

    assert [type(event) for event in captured_events] == [TodoCreated, TodoChanged, TodoDeleted]


async def test_completion_publishes_additional_event(service: TodoService, captured_events: list[Event]) -> None:
    todo = await service.create(TodoCreate(title="Buy milk"))
    for changes in ({"status": TodoStatus.DONE}, {"status": TodoStatus.DONE}, {"title": "Buy oats"}):
        await service.update(todo.id, TodoUpdate(**changes), ANY_VERSION)

    assert [type(event) for event in captured_events] == [TodoCreated, TodoChanged, TodoCompleted, TodoChanged]


async def test_todo_of_another_owner_is_not_found(service: TodoService, captured_events: list[Event]) -> None:
    todo = await service.create(TodoCreate(title="Buy milk"))
    other_service = TodoService(service.session, uuid4(), service.todos)

    with pytest.raises(TodoNotFound):
        await other_service.get(todo.id)


@pytest.mark.parametrize(("now", "then"), list(product(TodoStatus, TodoStatus)))
async def test_only_valid_status_transitions_are_allowed(
    service: TodoService, captured_events: list[Event], now: TodoStatus, then: TodoStatus
) -> None:
    todo = await service.create(TodoCreate(title="Buy milk"))
    todo.status = now

    if now == then or then in NEXT_STATUS[now]:
        assert (await service.update(todo.id, TodoUpdate(status=then), ANY_VERSION)).status == then
    else:
        with pytest.raises(IllegalTransition):
            await service.update(todo.id, TodoUpdate(status=then), ANY_VERSION)
        assert todo.status == now
