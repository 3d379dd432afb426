# ty: ignore[import-not-found]
"""Tells what lists and look-ups read while their tables grow; runs in a project with to-dos: `lists.py 10000 1000000`."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import md5
from uuid import UUID

from app.core.pagination import Cursor, PageParams
from app.modules.todo.models import TodoStatus
from app.modules.todo.repository import TodoRepository
from app.modules.todo.schemas import TodoFilter, TodoOrder
from app.modules.user.repository import UserRepository
from app.modules.user.schemas import UserOrder
from explaining import Case, grow
from sqlmodel.ext.asyncio.session import AsyncSession

# Number n is born n minutes after the beginning. Half of the to-dos are one person's, five have a tenth each; somebody has 500
# of the first 10,000. Two of three are due within a day. One of 50,000 is cancelled, of 500 the last one.
FILL = """
SET session_replication_role = replica; -- to check foreign keys takes longer than all the rest

INSERT INTO user_account (id, created_at, updated_at, version, email, name)
SELECT md5('user' || n)::uuid, moment, moment, 1, md5(n::text) || '@example.com', 'User ' || n
FROM generate_series(%(first)s, %(last)s) n, LATERAL (SELECT timestamptz '2020-01-01Z' + n * interval '1 minute') _(moment);

INSERT INTO todo (id, created_at, updated_at, version, owner_id, title, notes, status, due_at)
SELECT md5('todo' || n)::uuid, moment, moment, 1,
    md5('user' || CASE WHEN n <= 10000 AND n %% 20 = 9 THEN 7 ELSE greatest(1, n %% 10 - 3) END)::uuid,
    'Buy milk', '',
    CASE WHEN n %% 50000 IN (0, 9989) THEN 'cancelled' ELSE (ARRAY['open', 'in_progress', 'done'])[1 + n / 10 %% 3] END,
    CASE WHEN n %% 3 > 0 THEN moment + abs(hashint4(n) %% 1440) * interval '1 minute' END
FROM generate_series(%(first)s, %(last)s) n, LATERAL (SELECT timestamptz '2020-01-01Z' + n * interval '1 minute') _(moment);

INSERT INTO todo_change (owner_id, number, kind, todo_id, occurred_at)
SELECT md5('user' || (1 + n / 1000))::uuid, 1 + n %% 1000, 'created', md5('todo' || n)::uuid, timestamptz '2020-01-01Z'
FROM generate_series(%(first)s, %(last)s) n;
"""
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
EVERYTHING = TodoFilter()


def called(kind: str, number: int) -> UUID:
    """Return the id of something."""
    return UUID(md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


MANY, FEW = called("user", 1), called("user", 7)


def cases(size: int) -> Iterator[tuple[str, Case]]:
    """Name everything that is asked of tables of this size."""
    yield from todos(BEGINNING + timedelta(minutes=size // 2), called("todo", size // 2))
    yield from filters(BEGINNING + timedelta(minutes=size // 2), BEGINNING + timedelta(minutes=size))
    yield from users(BEGINNING + timedelta(minutes=size // 2), called("user", size // 2))


def todos(moment: datetime, todo_id: UUID) -> Iterator[tuple[str, Case]]:
    """List and look up what belongs to somebody who has many."""
    for order in TodoOrder:
        yield f"to-dos, {order}", listed(order=order)
        yield f"to-dos, {order}, in the middle", listed(order=order, after=(moment, todo_id))
    yield "to-do by its id", lambda session: TodoRepository(session).get(MANY, todo_id)
    yield "changes", lambda session: TodoRepository(session).changes(MANY, 500)


def filters(moment: datetime, end: datetime) -> Iterator[tuple[str, Case]]:
    """List some of them, also those that come last in their order, and those that hardly exist."""
    day = timedelta(days=1)
    yield "open to-dos", listed(TodoFilter(TodoStatus.OPEN))
    yield "to-dos due late, created_at", listed(TodoFilter(due_from=end - day))
    yield "to-dos due early, -created_at", listed(TodoFilter(due_before=BEGINNING + day), TodoOrder.NEWEST)
    for order in TodoOrder:
        yield f"to-dos due within a day, {order}", listed(TodoFilter(None, moment, moment + day), order)
        yield f"rare to-dos of few, {order}", listed(TodoFilter(TodoStatus.CANCELLED), order, owner=FEW)
        yield f"rare to-dos of many, {order}", listed(TodoFilter(TodoStatus.CANCELLED), order)


def listed(
    which: TodoFilter = EVERYTHING,
    order: TodoOrder = TodoOrder.CREATED_AT,
    after: tuple[datetime, UUID] | None = None,
    owner: UUID = MANY,
) -> Case:
    """Ask for a page of to-dos."""
    cursor = after and str(Cursor(order, after[0].isoformat(), str(after[1])))
    return lambda session: TodoRepository(session).page(owner, which, order, PageParams(cursor=cursor))


def users(moment: datetime, user_id: UUID) -> Iterator[tuple[str, Case]]:
    """List and look up accounts, as administrators do."""
    address = "8@example.com"
    for order in UserOrder:
        place = address if order.endswith("email") else moment.isoformat()
        middle = PageParams(cursor=str(Cursor(order, place, str(user_id))))
        for page, params in (("", PageParams()), (", in the middle", middle)):
            yield f"users, {order}{page}", partial(_users, order=order, params=params)
    yield "users with an address", lambda session: UserRepository(session).page(address, UserOrder.EMAIL, PageParams())
    yield "user by address", lambda session: UserRepository(session).find(address)
    yield "user by id", lambda session: UserRepository(session).get(user_id)


async def _users(session: AsyncSession, order: UserOrder, params: PageParams) -> object:
    return await UserRepository(session).page(None, order, params)


if __name__ == "__main__":
    asyncio.run(grow(FILL, [int(size) for size in sys.argv[1:]], cases))
