"""Events as they come from Kafka."""

from app.core.events import Event
from app.events import contracts
from app.events.envelope import CloudEvent


def as_sent(event: Event) -> bytes:
    """Write an event as this service sends it."""
    contract = contracts.of(type(event))
    assert contract is not None
    envelope = CloudEvent(
        id=str(event.event_id),
        source="/test",
        type=contract.type,
        subject=contract.key_of(event),
        time=event.occurred_at,
        data=contract.data(event),
    )
    return envelope.model_dump_json(exclude_none=True).encode()
