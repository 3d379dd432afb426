"""Adds events with a contract to the outbox, in the transaction that publishes them."""

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import get_contextvars

from app.core.events import Event, subscribe
from app.core.openapi import about
from app.events import contracts
from app.events.contracts import Contract
from app.events.envelope import CloudEvent
from app.outbox.models import OutboxEvent
from app.outbox.repository import OutboxRepository

DESTINATION = "kafka"


@subscribe(Event)
async def send_after_commit(session: AsyncSession, event: Event) -> None:
    """Send an event after the commit, if it has a contract and this service owns its topic."""
    contract = contracts.of(type(event))
    if contract is None or not contract.topic.ours:
        return
    envelope = envelope_of(event, contract)
    row = OutboxEvent(
        id=event.event_id,
        destination=DESTINATION,
        queue=contract.topic.name,
        name=contract.type,
        key=envelope.subject,
        payload=envelope.model_dump_json(exclude_none=True),
        request_id=envelope.requestid or "",
    )
    OutboxRepository(session).add(row)


def envelope_of(event: Event, contract: Contract[Any]) -> CloudEvent:
    """Wrap an event in an envelope, with its request id and its trace context."""
    context = get_contextvars()
    return CloudEvent(
        id=str(event.event_id),
        source=f"/{about()['name']}",
        type=contract.type,
        subject=contract.key_of(event),
        time=event.occurred_at,
        requestid=context.get("request_id"),
        traceparent=context.get("traceparent"),
        data=contract.data(event),
    )
