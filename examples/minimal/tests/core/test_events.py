"""Domain events and their handlers."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.testing import capture_logs

from app.core import events
from app.core.events import Event, publish, subscribe


@dataclass(frozen=True, kw_only=True)
class Happened(Event):
    thing_id: UUID


@dataclass(frozen=True, kw_only=True)
class HappenedAgain(Happened):
    pass


@pytest.fixture(autouse=True)
def _nobody_listens(captured_events: list[Event]) -> None:
    events._handlers.clear()


async def test_handlers_of_base_classes_are_called_first() -> None:
    told: list[tuple[str, Event]] = []

    @subscribe(HappenedAgain)
    async def child(_: AsyncSession, event: HappenedAgain) -> None:
        told.append(("child", event))

    @subscribe(Happened)
    async def parent(_: AsyncSession, event: Happened) -> None:
        told.append(("parent", event))

    again, once = HappenedAgain(thing_id=uuid4()), Happened(thing_id=uuid4())
    await publish(AsyncSession(), again)
    await publish(AsyncSession(), once)

    assert told == [("parent", again), ("child", again), ("parent", once)]


async def test_events_are_logged_with_their_ids() -> None:
    event = Happened(thing_id=uuid4())
    with capture_logs() as lines:
        await publish(AsyncSession(), event)

    ids = {"event_id": str(event.event_id), "thing_id": str(event.thing_id)}
    assert lines == [{"event": "event published", "type": "Happened", "log_level": "debug", **ids}]


async def test_handler_exceptions_propagate_to_the_publisher() -> None:
    @subscribe(Happened)
    async def fail(_: AsyncSession, event: Happened) -> None:
        raise RuntimeError(event.thing_id)

    with pytest.raises(RuntimeError):
        await publish(AsyncSession(), Happened(thing_id=uuid4()))
