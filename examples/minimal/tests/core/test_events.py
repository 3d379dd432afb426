"""Domain events and their handlers."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core import events
from app.core.events import Event, publish, subscribe


@dataclass(frozen=True, kw_only=True)
class ParentEvent(Event):
    thing_id: UUID


@dataclass(frozen=True, kw_only=True)
class ChildEvent(ParentEvent):
    pass


@pytest.fixture(autouse=True)
def _clear_handlers(captured_events: list[Event]) -> None:
    events._handlers.clear()


async def test_handlers_of_base_classes_are_called_first() -> None:
    received: list[tuple[str, Event]] = []

    @subscribe(ChildEvent)
    async def child(_: AsyncSession, event: ChildEvent) -> None:
        received.append(("child", event))

    @subscribe(ParentEvent)
    async def parent(_: AsyncSession, event: ParentEvent) -> None:
        received.append(("parent", event))

    child_event, parent_event = ChildEvent(thing_id=uuid4()), ParentEvent(thing_id=uuid4())
    await publish(AsyncSession(), child_event)
    await publish(AsyncSession(), parent_event)

    assert received == [("parent", child_event), ("child", child_event), ("parent", parent_event)]


async def test_events_are_logged_with_their_ids() -> None:
    event = ParentEvent(thing_id=uuid4())
    with capture_logs() as lines:
        await publish(AsyncSession(), event)

    ids = {"event_id": str(event.event_id), "thing_id": str(event.thing_id)}
    assert lines == [{"event": "event published", "type": "ParentEvent", "log_level": "debug", **ids}]


async def test_handler_exceptions_propagate_to_the_publisher() -> None:
    @subscribe(ParentEvent)
    async def fail(_: AsyncSession, event: ParentEvent) -> None:
        raise RuntimeError(event.thing_id)

    with pytest.raises(RuntimeError):
        await publish(AsyncSession(), ParentEvent(thing_id=uuid4()))
