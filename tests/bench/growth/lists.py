# ty: ignore[import-not-found]
"""Measure how much lists and look-ups read as tables grow. Runs in a project with to-dos: `lists.py 10000 1000000`."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import md5
from uuid import UUID

from app.core.pagination import Cursor, PageParams
from app.modules.feed.repository import FeedRepository
from app.modules.todo.models import TodoStatus
from app.modules.todo.repository import TodoRepository
from app.modules.todo.schemas import TodoFilter, TodoOrder
from app.modules.user.repository import UserRepository
from app.modules.user.schemas import UserOrder
from explain_queries import Case, measure_growth
from sqlmodel.ext.asyncio.session import AsyncSession

# Row n is created n minutes after the start. Half of the to-dos belong to one user, a tenth to each of five others, and 500 of
# the first 10,000 to another one. Two of three are due within a day. One of 50,000 is cancelled, and the last of those 500.
FILL = """
SET session_replication_role = replica; -- skip foreign key checks, which would take most of the time

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
START = datetime(2020, 1, 1, tzinfo=UTC)
EVERYTHING = TodoFilter()


def uuid_of(kind: str, number: int) -> UUID:
    """Return the id of a numbered row."""
    return UUID(md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


OWNER_OF_MANY, OWNER_OF_FEW = uuid_of("user", 1), uuid_of("user", 7)


def cases(size: int) -> Iterator[tuple[str, Case]]:
    """Yield all queries for tables of a size."""
    yield from todos(START + timedelta(minutes=size // 2), uuid_of("todo", size // 2))
    yield from filters(START + timedelta(minutes=size // 2), START + timedelta(minutes=size))
    yield from users(START + timedelta(minutes=size // 2), uuid_of("user", size // 2))


def todos(timestamp: datetime, todo_id: UUID) -> Iterator[tuple[str, Case]]:
    """List and look up the to-dos of a user with many."""
    for order in TodoOrder:
        yield f"to-dos, {order}", page_query(order=order)
        yield f"to-dos, {order}, in the middle", page_query(order=order, after=(timestamp, todo_id))
    yield "to-do by its id", lambda session: TodoRepository(session).get(OWNER_OF_MANY, todo_id)
    yield "changes", lambda session: FeedRepository(session).changes(OWNER_OF_MANY, 500)


def filters(timestamp: datetime, end: datetime) -> Iterator[tuple[str, Case]]:
    """List filtered to-dos, including rare ones and those at the end of the order."""
    day = timedelta(days=1)
    yield "open to-dos", page_query(TodoFilter(TodoStatus.OPEN))
    yield "to-dos due late, created_at", page_query(TodoFilter(due_from=end - day))
    yield "to-dos due early, -created_at", page_query(TodoFilter(due_before=START + day), TodoOrder.NEWEST)
    for order in TodoOrder:
        yield f"to-dos due within a day, {order}", page_query(TodoFilter(None, timestamp, timestamp + day), order)
        yield f"rare to-dos of few, {order}", page_query(TodoFilter(TodoStatus.CANCELLED), order, owner=OWNER_OF_FEW)
        yield f"rare to-dos of many, {order}", page_query(TodoFilter(TodoStatus.CANCELLED), order)


def page_query(
    which: TodoFilter = EVERYTHING,
    order: TodoOrder = TodoOrder.CREATED_AT,
    after: tuple[datetime, UUID] | None = None,
    owner: UUID = OWNER_OF_MANY,
) -> Case:
    """Return a query for a page of to-dos."""
    cursor = after and str(Cursor(order, after[0].isoformat(), str(after[1])))
    return lambda session: TodoRepository(session).page(owner, which, order, PageParams(cursor=cursor))


def users(timestamp: datetime, user_id: UUID) -> Iterator[tuple[str, Case]]:
    """List and look up users, as administrators do."""
    address = "8@example.com"
    for order in UserOrder:
        place = address if order.endswith("email") else timestamp.isoformat()
        middle = PageParams(cursor=str(Cursor(order, place, str(user_id))))
        for page, params in (("", PageParams()), (", in the middle", middle)):
            yield f"users, {order}{page}", partial(_users, order=order, params=params)
    yield "users with an address", lambda session: UserRepository(session).page(address, UserOrder.EMAIL, PageParams())
    yield "user by address", lambda session: UserRepository(session).find(address)
    yield "user by id", lambda session: UserRepository(session).get(user_id)


async def _users(session: AsyncSession, order: UserOrder, params: PageParams) -> object:
    return await UserRepository(session).page(None, order, params)


if __name__ == "__main__":
    asyncio.run(measure_growth(FILL, [int(size) for size in sys.argv[1:]], cases))
