"""Sends events to Kafka."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.messaging.envelope import CONTENT_TYPE
from app.messaging.settings import KafkaConfig
from app.outbox.poller import DestinationUnavailable

TIMEOUT_SECONDS = 10
# The names are those of librdkafka's CONFIGURATION.md.
PRODUCER_CONFIG: KafkaConfig = {
    "enable.idempotence": True,  # implies acks=all, and keeps the order of a partition on retries
    "partitioner": "murmur2_random",  # like Java clients, so that other services can send events with the same keys
    "message.timeout.ms": 0,  # no timeout per message: `_deliver` gives up on all of them together
    "linger.ms": 5,
    "compression.type": "lz4",
    "allow.auto.create.topics": False,
}
# The event itself is invalid, so Kafka would reject every retry.
PERMANENT_ERRORS = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.RECORD_LIST_TOO_LARGE,
}


class PendingEvent(NamedTuple):
    """The columns that sending an event needs. Loading entities would double the total time."""

    id: UUID
    topic: str
    name: str
    key: str | None
    payload: str


@dataclass
class Delivery:
    """The result of sending events. Those that are neither delivered nor rejected must be sent again."""

    delivered: list[PendingEvent] = field(default_factory=list)
    rejected: list[tuple[PendingEvent, str]] = field(default_factory=list)
    failure: str = ""  # why some must be sent again


class EventProducer:
    """Sends events, and reports which of them Kafka has stored."""

    def __init__(self, client: KafkaConfig) -> None:
        """Use the client configuration `client`. The connection opens with the first delivery."""
        self.timeout_seconds: float = TIMEOUT_SECONDS
        self._client = client
        self._producer: Producer | None = None

    async def deliver(self, events: Sequence[PendingEvent]) -> Delivery:
        """Send events, and wait for their results.

        Raises:
            DestinationUnavailable: If no event was delivered or rejected.
        """
        delivery = await asyncio.to_thread(self._deliver, events)
        if delivery.failure and not delivery.delivered and not delivery.rejected:
            raise DestinationUnavailable(f"Kafka: {delivery.failure}")
        return delivery

    def close(self) -> None:
        """Close the connection."""
        self._producer = None

    def _get_producer(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._client | PRODUCER_CONFIG, logger=logging.getLogger(__name__))
        return self._producer

    def _deliver(self, events: Sequence[PendingEvent]) -> Delivery:
        producer, delivery = self._get_producer(), Delivery()
        self._producer = None  # replaced after a failure, because it may be unusable
        for event in events:
            on_delivery = partial(_record_delivery, delivery, event)
            try:
                producer.produce(
                    event.topic,
                    value=event.payload.encode(),
                    key=event.key,
                    headers={"content-type": CONTENT_TYPE},
                    on_delivery=on_delivery,
                )
            except KafkaException as error:
                on_delivery(error.args[0], None)
        if producer.flush(self.timeout_seconds):
            producer.purge()  # single messages that time out would leave gaps in the order
            producer.flush()
            delivery.failure = f"no response within {self.timeout_seconds:g} seconds"
        if not delivery.failure:
            self._producer = producer
        return delivery


def _record_delivery(delivery: Delivery, event: PendingEvent, error: KafkaError | None, _: Message | None) -> None:
    if error is None:
        delivery.delivered.append(event)
    elif error.code() in PERMANENT_ERRORS:
        delivery.rejected.append((event, error.str()))
    else:
        delivery.failure = error.str()
