"""The feed endpoint."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from httpx2 import AsyncClient
from sqlmodel import delete, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.core import events
from app.core.exceptions import ConflictError
from app.core.runtime import runtime_of
from app.db.session import Database, open_read_session, transaction
from app.main import create_app
from app.modules.feed import routes, service
from app.modules.feed.models import TodoFeed
from app.modules.feed.repository import MAX_STORED_CHANGES
from app.modules.user.models import User
from tests.users import app_of, new_client, sign_in_new_user
from tests.waiting import wait_until


class FeedReader:
    """A client of the feed. It counts how often the application polls for changes, and stops the feed after `polls`."""

    def __init__(self, client: AsyncClient, stopping: asyncio.Event) -> None:
        self.client, self.stopping = client, stopping
        self.polls = 0

    @asynccontextmanager
    async def open_counting_session(self, database: Database) -> AsyncGenerator[AsyncSession]:
        async with open_read_session(database) as session:
            yield session
        self.polls += 1
        if self.polls == self.last_poll:
            self.stopping.set()

    async def read(self, todos: str, after: int | None = None, polls: int = 2) -> list[str]:
        """Read the feed for some polls; return its lines."""
        self.stopping.clear()
        self.last_poll = self.polls + polls
        response = await self.client.get(
            f"{todos}/feed", headers={} if after is None else {"Last-Event-ID": str(after)}
        )
        return response.text.splitlines()

    async def read_ids(self, todos: str, after: int | None = None) -> list[str]:
        """Read the feed; return the change numbers."""
        return [line.removeprefix("id: ") for line in await self.read(todos, after) if line.startswith("id")]

    async def wait_for_polls(self) -> None:
        """Wait until the application has polled again."""
        seen = self.polls
        await wait_until(lambda: self.polls >= seen + 2)


@pytest.fixture
def feed(committing_client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> FeedReader:
    feed = FeedReader(committing_client, runtime_of(app_of(committing_client)).stopping)
    monkeypatch.setattr(routes, "FEED_POLL_SECONDS", 0.01)
    monkeypatch.setattr(service, "open_read_session", feed.open_counting_session)
    return feed


async def test_feed_of_deleted_owner_is_rejected(client: AsyncClient, session: AsyncSession) -> None:
    todos = await sign_in_new_user(client)
    await session.exec(delete(User))
    await session.commit()

    # 401 if the credentials become invalid with the account.
    assert (await client.get(f"{todos}/feed")).status_code in {401, 404}


async def test_feed_resumes_after_last_event_id(committing_client: AsyncClient, feed: FeedReader) -> None:
    todos = await sign_in_new_user(committing_client)
    url = (await committing_client.post(todos, json={"title": "Buy milk"})).headers["location"]
    await committing_client.patch(url, json={"status": "done"})
    await committing_client.delete(url)

    lines = await feed.read(todos, after=0)
    assert [line for line in lines if line.startswith(("event", "id"))] == [
        *("event: created", "id: 1", "event: changed", "id: 2", "event: deleted", "id: 3"),
    ]
    assert all('"todo":null' in line for line in lines if line.startswith("data"))
    assert await feed.read_ids(todos, after=2) == ["3"]


async def test_feed_without_last_event_id_shows_only_new_changes_of_its_owner(
    committing_client: AsyncClient, feed: FeedReader
) -> None:
    other_client = new_client(committing_client)
    todos, others = await sign_in_new_user(committing_client), await sign_in_new_user(other_client)
    await committing_client.post(todos, json={"title": "Before"})

    reading = asyncio.create_task(feed.read(todos, polls=1_000_000))
    await feed.wait_for_polls()
    await other_client.post(others, json={"title": "Of others"})
    await committing_client.post(todos, json={"title": "After"})
    await feed.wait_for_polls()
    feed.stopping.set()

    [data] = [line for line in await reading if line.startswith("data")]
    assert '"title":"After"' in data


async def test_rolled_back_change_is_not_in_feed(
    committing_client: AsyncClient, feed: FeedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    todos = await sign_in_new_user(committing_client)
    url = (await committing_client.post(todos, json={"title": "Buy milk"})).headers["location"]

    async def fail(session: AsyncSession, event: events.Event) -> None:
        raise ConflictError

    with monkeypatch.context() as patch:
        patch.setitem(events._handlers, events.Event, [fail])  # called after the feed's own handler
        assert (await committing_client.patch(url, json={"title": "Never"})).status_code == 409

    assert await feed.read_ids(todos, after=0) == ["1"]


@pytest.mark.parametrize("after", [0, MAX_STORED_CHANGES + 9])
async def test_feed_sends_reset_after_missed_changes(
    committing_client: AsyncClient, committing_database: Database, feed: FeedReader, after: int
) -> None:
    todos = await sign_in_new_user(committing_client)
    await committing_client.post(todos, json={"title": "Buy milk"})
    async with transaction(committing_database.write) as session:  # simulates that many changes
        await session.exec(update(TodoFeed).values(last=MAX_STORED_CHANGES + 1))

    lines = await feed.read(todos, after=after)
    assert lines[:3] == ["event: reset", "data: {}", f"id: {MAX_STORED_CHANGES + 1}"]


async def test_concurrent_changes_are_numbered_without_gaps(committing_client: AsyncClient, feed: FeedReader) -> None:
    todos = await sign_in_new_user(committing_client)
    await asyncio.gather(*(committing_client.post(todos, json={"title": f"{n}"}) for n in range(8)))

    assert await feed.read_ids(todos, after=0) == [f"{n}" for n in range(1, 9)]


def test_openapi_describes_the_feed() -> None:
    [feed] = [path for url, path in create_app().openapi()["paths"].items() if url.endswith("/todos/feed")]

    assert "text/event-stream" in feed["get"]["responses"]["200"]["content"]
