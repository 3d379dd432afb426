"""What is heard of: every event that leaves the service."""

from uuid import uuid4

from sqlmodel.ext.asyncio.session import AsyncSession

from app.core.openapi import about
from app.db.base import utc_now
from app.events import contracts
from app.events.envelope import CloudEvent
from app.modules.statistics.consumers import statistics
from app.modules.statistics.service import StatisticsService
from app.modules.user.events import UserDeleted, UserRegistered


def sent(event: UserRegistered | UserDeleted) -> CloudEvent:
    contract = contracts.of(type(event))
    assert contract is not None
    return CloudEvent(
        id=str(event.event_id),
        source=f"/{about()['name']}",
        type=contract.type,
        subject=contract.key_of(event),
        time=event.occurred_at,
        data=contract.data(event),
    )


async def test_what_happens_to_users_is_counted(session: AsyncSession) -> None:
    ada, bob = uuid4(), uuid4()
    events = [UserRegistered(user_id=ada), UserRegistered(user_id=bob), UserDeleted(user_id=ada)]
    await statistics.handle(session, [sent(event) for event in events])

    today = utc_now().date()
    assert [(row.day, row.type, row.count) for row in await StatisticsService(session).since(2)] == [
        (today, "UserDeleted", 1),
        (today, "UserRegistered", 2),
    ]


def test_it_listens_to_every_topic() -> None:
    assert statistics.topics == contracts.topics()
