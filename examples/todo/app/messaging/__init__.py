"""Events on Kafka: contracts of published events, and idempotent consumers.

With `KAFKA_BOOTSTRAP_SERVERS`, separate processes relay and handle events: `app relay`, `app
consumer`. Without, in development and tests, the API process does both, with an in-process broker.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from app.core.config import load
from app.messaging import processes, publisher, topics
from app.messaging.settings import KafkaSettings
from app.messaging.tracing import TraceContext
from app.outbox.poller import DestinationUnavailable

logger = structlog.get_logger(__name__)

__all__ = ["lifespan", "prepare_development", "publisher", "setup"]


def prepare_development() -> None:
    """Do nothing: without `KAFKA_BOOTSTRAP_SERVERS`, no server is needed."""


def setup(app: FastAPI) -> None:
    """Register how events are sent to Kafka: by the relay process, or by the API process."""
    app.add_middleware(TraceContext)
    app.state.kafka = load(KafkaSettings)
    if app.state.kafka.bootstrap_servers is None:
        app.state.by_itself.append(processes.everything)
    else:
        app.state.relays.append(processes.to_kafka)
        app.state.relay_checks.append(_require_topics)


def _require_topics(app: FastAPI) -> None:
    """Fail if a topic is missing. If Kafka is unavailable, only log it: the relay retries."""
    try:
        topics.ensure_topics_exist(app.state.kafka.client_config())
    except DestinationUnavailable as error:
        logger.warning("Kafka unavailable, topics not checked", error=str(error))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - all features have the same interface
    """Open nothing: background tasks open what they need."""
    yield
