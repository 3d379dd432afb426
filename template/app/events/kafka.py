"""The way to Kafka, for events that leave."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.events.envelope import CONTENT_TYPE
from app.events.settings import Client
from app.outbox.relay import Unavailable

TIMEOUT_SECONDS = 10
# The names are those of librdkafka's CONFIGURATION.md.
CONFIGURATION: Client = {
    "enable.idempotence": True,  # and with it acks=all, and the order of a partition whatever has to be sent again
    "partitioner": "murmur2_random",  # as clients in Java choose, so that others may send for the same keys
    "message.timeout.ms": 0,  # they are given up all at once, by `_deliver`
    "linger.ms": 5,
    "compression.type": "lz4",
    "allow.auto.create.topics": False,
}
# What is wrong with the event itself: Kafka would not take it at any other time either.
ITS_OWN_FAULT = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.RECORD_LIST_TOO_LARGE,
}


class Waiting(NamedTuple):
    """Of an event that waits, what is needed here: its row as an entity would cost as much time as all else."""

    id: UUID
    topic: str
    name: str
    key: str | None
    payload: str


@dataclass
class Delivery:
    """What became of some events. Those that are neither delivered nor refused are to be sent again."""

    delivered: list[Waiting] = field(default_factory=list)
    refused: list[tuple[Waiting, str]] = field(default_factory=list)
    away: str = ""  # why there are such


class Kafka:
    """Sends events, and knows which of them Kafka has."""

    def __init__(self, client: Client) -> None:
        """Connect as `client` says, when there is something to send."""
        self.timeout_seconds: float = TIMEOUT_SECONDS
        self._client = client
        self._producer: Producer | None = None

    async def deliver(self, events: Sequence[Waiting]) -> Delivery:
        """Send events, and wait until it is known what became of them.

        Raises:
            Unavailable: If nothing became of any.
        """
        delivery = await asyncio.to_thread(self._deliver, events)
        if delivery.away and not delivery.delivered and not delivery.refused:
            raise Unavailable(f"Kafka: {delivery.away}")
        return delivery

    async def ping(self) -> None:
        """Ask whether it is there.

        Raises:
            KafkaException: If it is not.
        """
        await asyncio.to_thread(lambda: self._connected().list_topics(timeout=2))

    def close(self) -> None:
        """Let the connection go."""
        self._producer = None

    def _connected(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(self._client | CONFIGURATION, logger=logging.getLogger(__name__))
        return self._producer

    def _deliver(self, events: Sequence[Waiting]) -> Delivery:
        producer, delivery = self._connected(), Delivery()
        self._producer = None  # unless all goes well, the next begins anew: this one may be of no use any more
        for event in events:
            told = partial(_note, delivery, event)
            try:
                producer.produce(
                    event.topic,
                    value=event.payload.encode(),
                    key=event.key,
                    headers={"content-type": CONTENT_TYPE},
                    on_delivery=told,
                )
            except KafkaException as error:
                told(error.args[0], None)
        if producer.flush(self.timeout_seconds):
            producer.purge()  # one by one, they would leave gaps that those behind them fall into
            producer.flush()
            delivery.away = f"no answer within {self.timeout_seconds:g} seconds"
        if not delivery.away:
            self._producer = producer
        return delivery


def _note(delivery: Delivery, event: Waiting, error: KafkaError | None, _: Message | None) -> None:
    if error is None:
        delivery.delivered.append(event)
    elif error.code() in ITS_OWN_FAULT:
        delivery.refused.append((event, error.str()))
    else:
        delivery.away = error.str()
