"""Feed endpoint. `app/api.py` includes it before the to-dos, whose path `/{todo_id}` would match `/feed`."""

from collections.abc import AsyncIterable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.core.openapi import problems
from app.core.shutdown import should_continue, sleep_or_stop
from app.db.session import DatabaseDep, SessionDep
from app.modules.feed.models import TodoChange
from app.modules.feed.schemas import TodoChangeRead
from app.modules.feed.service import FeedPosition, FeedService, stream_changes
from app.modules.todo.dependencies import OwnerId
from app.modules.todo.models import Todo
from app.modules.todo.schemas import TodoRead
from app.modules.user.service import UserNotFound

FEED_POLL_SECONDS = 1.0

router = APIRouter(tags=["todo"])


async def get_feed_position(
    session: SessionDep,
    owner_id: OwnerId,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**31 - 1, description="Continue after this event.")] = None,
) -> FeedPosition:
    """Return the start position of the feed. A dependency can still respond with an error, a stream cannot."""
    return await FeedService(session, owner_id).position(last_event_id)


@router.get("/feed", summary="Follow the changes", response_class=EventSourceResponse, responses=problems(UserNotFound))
async def follow_todos(
    position: Annotated[FeedPosition, Depends(get_feed_position)],
    owner_id: OwnerId,
    database: DatabaseDep,
    request: Request,
) -> AsyncIterable[ServerSentEvent]:
    """Stream changes as Server-Sent Events, from now on or after `Last-Event-ID`.

    The feed polls for new changes every second and holds no database connection in between. It ends when the
    server stops; browsers reconnect automatically and continue where they were. If the client was disconnected
    for too long, the first event is `reset`: changes were missed, so list the to-dos again.
    """
    if position.missed:
        yield ServerSentEvent(event="reset", id=str(position.after), data={})
    can_continue, pause = partial(should_continue, request), partial(sleep_or_stop, request, FEED_POLL_SECONDS)
    async for change, todo in stream_changes(database, owner_id, position.after, can_continue, pause):
        yield _event(change, todo)


def _event(change: TodoChange, todo: Todo | None) -> ServerSentEvent:
    data = TodoChangeRead(
        todo_id=change.todo_id,
        occurred_at=change.occurred_at,
        todo=TodoRead.model_validate(todo) if todo else None,
    )
    return ServerSentEvent(event=change.kind, id=str(change.number), data=data)
