"""Checks whether Kafka is reachable."""

import asyncio

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from app.messaging.settings import KafkaConfig
from app.outbox.poller import DestinationUnavailable

PING_SECONDS = 1.5  # less than the timeout of health checks, so that they report the reason


class KafkaHealth:
    """Checks whether Kafka is reachable, with a separate connection.

    Calls on a client wait for each other, so a check with the client of a consumer would wait for its poll.
    """

    def __init__(self, client: KafkaConfig) -> None:
        """Use the client configuration `client`. Each has several threads."""
        self._admin = AdminClient(client | {"log_level": 0})  # the result is reported, and nothing else reads its log

    async def ping(self) -> None:
        """Check that Kafka is reachable.

        Raises:
            DestinationUnavailable: If it is unreachable.
        """
        try:
            await asyncio.to_thread(self._admin.list_topics, timeout=PING_SECONDS)
        except KafkaException as error:
            raise DestinationUnavailable(f"Kafka is unavailable: {error.args[0].str()}") from error
