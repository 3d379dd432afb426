"""Background tasks for events in each process, while its app runs."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from app.core.health import add_check
from app.messaging import consumers, contracts, development
from app.messaging.dead_letter_replay import DeadLetterReplay
from app.messaging.health import KafkaHealth
from app.messaging.producer import EventProducer
from app.messaging.relay import EventRelay
from app.messaging.subscription import run_consumers
from app.outbox.poller import OutboxPoller
from app.outbox.processes import run_relay


@asynccontextmanager
async def everything(app: FastAPI) -> AsyncGenerator[None]:
    """Run a broker, the relay, and the consumers in this process."""
    with development.broker(contracts.all_topics()) as address:
        app.state.kafka = app.state.kafka.model_copy(update={"bootstrap_servers": address})
        async with to_kafka(app) as relay, run_relay(relay, app), consuming()(app):
            yield


@asynccontextmanager
async def to_kafka(app: FastAPI) -> AsyncGenerator[OutboxPoller]:
    """Connect to Kafka, and yield a relay to it."""
    client = app.state.kafka.client_config()
    kafka, health = EventProducer(client), KafkaHealth(client)
    add_check(app, "kafka-producer", lambda _: health.ping())
    try:
        yield EventRelay(app.state.database, kafka, app.state.outbox.poll_seconds)
    finally:
        kafka.close()


def consuming(*names: str) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return a background task that runs the named consumers, or all, and handles their replayed dead letters.

    Raises:
        LookupError: If no consumer has one of the names.
    """
    chosen = [consumers.get_consumer(name) for name in names] or list(consumers.all_consumers())

    @asynccontextmanager
    async def consume(app: FastAPI) -> AsyncGenerator[None]:
        replays = DeadLetterReplay(app.state.database, app.state.outbox.poll_seconds, names)
        client = app.state.kafka.client_config()
        health = KafkaHealth(client)
        add_check(app, "kafka-consumer", lambda _: health.ping())
        async with run_consumers(app.state.database, client, chosen), run_relay(replays, app):
            yield

    return consume
