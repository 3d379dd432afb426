"""The statistics consumer, which counts every published event."""

from uuid import uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.base import utc_now
from app.messaging import contracts
from app.modules.statistics.consumers import statistics
from app.modules.statistics.service import StatisticsService
from app.modules.user.events import UserDeleted, UserRegistered
from tests.messaging.conftest import to_envelope


async def test_user_events_are_counted(session: AsyncSession) -> None:
    ada, bob = uuid4(), uuid4()
    events = [UserRegistered(user_id=ada), UserRegistered(user_id=bob), UserDeleted(user_id=ada)]
    await statistics.handle(session, [to_envelope(event) for event in events])

    today = utc_now().date()
    assert [(row.day, row.type, row.count) for row in await StatisticsService(session).since(2)] == [
        (today, "user.deleted.v1", 1),
        (today, "user.registered.v1", 2),
    ]


def test_consumer_subscribes_to_all_topics() -> None:
    assert statistics.topics == contracts.all_topics()
