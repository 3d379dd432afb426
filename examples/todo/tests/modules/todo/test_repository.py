"""To-do queries, on the real database."""

from datetime import UTC, datetime

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.pagination import PageParams
from app.modules.todo.models import Todo, TodoStatus
from app.modules.todo.repository import TodoRepository
from app.modules.todo.schemas import TodoFilter
from app.modules.user.models import User

EARLY, LATE = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 2, 1, tzinfo=UTC)


@pytest.fixture
async def owner(session: AsyncSession) -> User:
    owner = User(email="ada@example.com", name="Ada")
    session.add(owner)
    await session.flush()
    return owner


@pytest.fixture
async def todos(session: AsyncSession, owner: User) -> TodoRepository:
    """To-dos of one owner: `early`, `late`, and `someday` without a due date."""
    todos = TodoRepository(session)
    await todos.save(Todo(owner_id=owner.id, title="late", due_at=LATE, status=TodoStatus.DONE))
    await todos.save(Todo(owner_id=owner.id, title="early", due_at=EARLY))
    await todos.save(Todo(owner_id=owner.id, title="someday"))
    return todos


@pytest.mark.parametrize(
    ("filters", "titles"),
    [
        (TodoFilter(), {"early", "late", "someday"}),
        (TodoFilter(status=TodoStatus.DONE), {"late"}),
        (TodoFilter(due_from=LATE), {"late"}),
        (TodoFilter(due_before=LATE), {"early"}),
    ],
)
async def test_list_is_filtered(todos: TodoRepository, owner: User, filters: TodoFilter, titles: set[str]) -> None:
    rows, _ = await todos.page(owner.id, filters, "created_at", PageParams())
    assert {row["title"] for row in rows} == titles


@pytest.mark.parametrize(("order", "titles"), [("due_at", ["early", "late"]), ("-due_at", ["late", "early"])])
async def test_order_by_due_date_omits_todos_without_one(
    todos: TodoRepository, owner: User, order: str, titles: list[str]
) -> None:
    rows, _ = await todos.page(owner.id, TodoFilter(), order, PageParams())
    assert [row["title"] for row in rows] == titles


async def test_todos_of_others_are_not_found(todos: TodoRepository, owner: User, session: AsyncSession) -> None:
    other = User(email="eve@example.com", name="Eve")
    session.add(other)
    await session.flush()
    todo = await todos.save(Todo(owner_id=owner.id, title="Buy milk"))

    assert await todos.get(owner.id, todo.id) is todo
    assert await todos.get(other.id, todo.id) is None
    assert await todos.page(other.id, TodoFilter(), "created_at", PageParams()) == ([], None)
