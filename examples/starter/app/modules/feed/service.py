"""Business rules for the feed: which changes it records, and what each client still has to receive."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.session import Database, open_read_session
from app.modules.feed.models import TodoChange
from app.modules.feed.repository import CHANGES_PAGE_SIZE, MAX_STORED_CHANGES, FeedRepository
from app.modules.todo.events import TodoChanged, TodoCreated, TodoDeleted, TodoEvent
from app.modules.todo.models import Todo
from app.modules.user.service import UserService

# Not `TodoCompleted`: it is published in addition to `TodoChanged`, so the feed would show the change twice.
KINDS: Mapping[type[TodoEvent], str] = {TodoCreated: "created", TodoChanged: "changed", TodoDeleted: "deleted"}


@dataclass(frozen=True)
class FeedPosition:
    """Position of a client in the feed."""

    after: int
    missed: bool = False  # whether changes in between have been deleted


class FeedService:
    """Business rules for the feed of one owner."""

    def __init__(self, session: AsyncSession, owner_id: UUID) -> None:
        self.owner_id = owner_id
        self.feed = FeedRepository(session)
        self.users = UserService(session)

    async def record(self, event: TodoEvent) -> None:
        """Store a change."""
        await self.feed.add_change(self.owner_id, event.todo_id, KINDS[type(event)])

    async def position(self, last_seen: int | None) -> FeedPosition:
        """Return the position from which a client should start reading the feed.

        Args:
            last_seen: Number of the last change the client received. None starts with the next change.

        Raises:
            UserNotFound: If the owner does not exist.
        """
        await self.users.get(self.owner_id)
        last = await self.feed.last_change(self.owner_id)
        if last_seen is None:
            return FeedPosition(after=last)
        if last - MAX_STORED_CHANGES <= last_seen <= last:
            return FeedPosition(after=last_seen)
        return FeedPosition(after=last, missed=True)

    async def changes(self, after: int, limit: int = CHANGES_PAGE_SIZE) -> Sequence[tuple[TodoChange, Todo | None]]:
        """Return the changes after a change number, oldest first."""
        return await self.feed.changes(self.owner_id, after, limit)


async def stream_changes(
    database: Database,
    owner_id: UUID,
    after: int,
    should_continue: Callable[[], bool],
    pause: Callable[[], Awaitable[None]],
    page_size: int = CHANGES_PAGE_SIZE,
) -> AsyncGenerator[tuple[TodoChange, Todo | None]]:
    """Poll for changes and yield them. No database connection is held while the client reads or during a pause.

    The stream ends when `should_continue` returns False, or if the client was too slow to receive all stored changes.

    Args:
        database: Each poll opens a session, because the session of the request has ended.
        owner_id: Whose changes to read.
        after: Number of the last change the client received.
        should_continue: Checked before each poll.
        pause: Waits until the next poll. It is not called while there is a backlog.
        page_size: How many changes a poll reads at most.
    """
    while should_continue():
        async with open_read_session(database) as session:
            changes = await FeedService(session, owner_id).changes(after, page_size)
        for change, todo in changes:
            if change.number != after + 1:
                return  # changes in between have been deleted: the client reconnects, and learns that it missed some
            after = change.number
            yield change, todo
        if len(changes) < page_size:
            await pause()
