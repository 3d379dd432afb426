"""Adds events with a contract to the outbox, in the transaction that publishes them."""

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import get_contextvars

from app.core.events import Event, subscribe
from app.core.openapi import api_metadata
from app.messaging import contracts
from app.messaging.contracts import Contract
from app.messaging.envelope import CloudEvent
from app.outbox.models import OutboxMessage
from app.outbox.repository import OutboxRepository

TO_KAFKA = "kafka"  # the queue is the topic


@subscribe(Event)
async def publish_to_outbox(session: AsyncSession, event: Event) -> None:
    """Send an event after the commit, if it has a contract and this service owns its topic."""
    contract = contracts.contract_for(type(event))
    if contract is None or not contract.topic.owned:
        return
    envelope = to_cloud_event(event, contract)
    row = OutboxMessage(
        id=event.event_id,
        destination=TO_KAFKA,
        queue=contract.topic.name,
        name=contract.type,
        key=envelope.subject,
        payload=envelope.model_dump_json(exclude_none=True),
        request_id=envelope.requestid or "",
    )
    OutboxRepository(session).add(row)


def to_cloud_event(event: Event, contract: Contract[Any]) -> CloudEvent:
    """Wrap an event in an envelope, with its request id and its trace context."""
    context = get_contextvars()
    return CloudEvent(
        id=str(event.event_id),
        source=f"/{api_metadata()['name']}",
        type=contract.type,
        subject=contract.key_of(event),
        time=event.occurred_at,
        requestid=context.get("request_id"),
        traceparent=context.get("traceparent"),
        data=contract.data(event),
    )
