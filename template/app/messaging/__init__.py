"""Events on Kafka: contracts of published events, and idempotent consumers.

If `KAFKA_BOOTSTRAP_SERVERS` is set, separate processes relay and handle events (`app/processes.py`). Otherwise, in
development and tests, the API process does both, with an in-process broker.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from app.core.config import ConfigurationError, load
from app.core.runtime import Feature, Lifespan, Runtime
from app.db.session import Database
from app.messaging import consumers, contracts, development, publisher, topics
from app.messaging.dead_letter_replay import DeadLetterReplay
from app.messaging.health import KafkaHealth
from app.messaging.producer import EventProducer
from app.messaging.relay import EventRelay
from app.messaging.settings import KafkaSettings, require_kafka
from app.messaging.subscription import run_consumers
from app.messaging.tracing import TraceContext
from app.outbox import BackgroundWork, OutboxSettings, run_relay
from app.outbox.poller import DestinationUnavailable

logger = structlog.get_logger(__name__)

__all__ = ["check_topics", "consume_events", "feature", "publisher", "relay_events", "require_kafka"]


def _setup(app: FastAPI, runtime: Runtime) -> None:
    app.add_middleware(TraceContext)
    settings = runtime[KafkaSettings] = load(KafkaSettings)
    if settings.bootstrap_servers is None:
        runtime[BackgroundWork].append(_run_in_process)


def check_topics() -> None:
    """Check that all topics exist, if Kafka is configured. If it is unavailable, only log that: processes retry.

    Raises:
        ConfigurationError: If one is missing.
    """
    settings = load(KafkaSettings)
    if settings.bootstrap_servers is None:
        return
    try:
        topics.ensure_topics_exist(settings.client_config())
    except DestinationUnavailable as error:
        logger.warning("Kafka unavailable, topics not checked", error=str(error))


@asynccontextmanager
async def _run_in_process(runtime: Runtime) -> AsyncGenerator[None]:
    """Run a broker, the relay, and the consumers in this process."""
    with development.broker(contracts.all_topics()) as address:
        runtime[KafkaSettings] = runtime[KafkaSettings].model_copy(update={"bootstrap_servers": address})
        async with relay_events(runtime), consume_events()(runtime):
            yield


@asynccontextmanager
async def relay_events(runtime: Runtime) -> AsyncGenerator[None]:
    """Send events to Kafka. Without Kafka, do nothing: the API process does it."""
    settings = runtime[KafkaSettings]
    if settings.bootstrap_servers is None:
        yield
        return
    client = settings.client_config()
    kafka, health = EventProducer(client), KafkaHealth(client)
    runtime.add_check("kafka-producer", lambda _: health.ping())
    try:
        async with run_relay(EventRelay(runtime[Database], kafka, runtime[OutboxSettings].poll_seconds), runtime):
            yield
    finally:
        kafka.close()


def consume_events(process: str | None = None) -> Lifespan:
    """Return background work that runs the consumers of a process, or all, and handles their replayed dead letters.

    Raises:
        ConfigurationError: When it starts, if the process has no consumers.
    """

    @asynccontextmanager
    async def run(runtime: Runtime) -> AsyncGenerator[None]:
        chosen = [each for each in consumers.all_consumers() if process in (None, each.process)]
        if not chosen:
            raise ConfigurationError(f'No consumer is declared with process="{process}".')
        database, client = runtime[Database], runtime[KafkaSettings].client_config()
        replays = DeadLetterReplay(database, runtime[OutboxSettings].poll_seconds, [each.name for each in chosen])
        health = KafkaHealth(client)
        runtime.add_check("kafka-consumer", lambda _: health.ping())
        async with run_consumers(database, client, chosen), run_relay(replays, runtime):
            yield

    return run


feature = Feature(setup=_setup, commands=("app.messaging.commands",))
