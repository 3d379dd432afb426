"""Events on their way out: each with a contract is a row of the transaction in which it happens."""

from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import get_contextvars

from app.core.events import Event, subscribe
from app.core.openapi import about
from app.events import contracts
from app.events.envelope import CloudEvent
from app.outbox.models import OutboxEvent
from app.outbox.repository import OutboxRepository

DESTINATION = "kafka"


@subscribe(Event)
async def send_after_commit(session: AsyncSession, event: Event) -> None:
    """Let an event leave after the commit, if there is a contract about it and its topic is ours."""
    contract = contracts.of(type(event))
    if contract is None or not contract.topic.ours:
        return
    context = get_contextvars()
    key = contract.key_of(event)
    envelope = CloudEvent(
        id=str(event.event_id),
        source=f"/{about()['name']}",
        type=contract.type,
        subject=key,
        time=event.occurred_at,
        requestid=context.get("request_id"),
        traceparent=context.get("traceparent"),
        data=contract.data(event),
    )
    row = OutboxEvent(
        id=event.event_id,
        destination=DESTINATION,
        queue=contract.topic.name,
        name=contract.type,
        key=key,
        payload=envelope.model_dump_json(exclude_none=True),
        request_id=context.get("request_id", ""),
    )
    OutboxRepository(session).add(row)
