"""Events on Kafka: those that leave, by contract, and those that come, done once.

With `KAFKA_BOOTSTRAP_SERVERS` there are processes for it: `app relay`, `app consumer`.
Without, in development and tests, the API does it all itself, with a broker of its own.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from app.core.config import load
from app.events import processes, publisher, topics
from app.events.settings import KafkaSettings
from app.events.tracing import TraceContext
from app.outbox.relay import Unavailable

logger = structlog.get_logger(__name__)

__all__ = ["lifespan", "prepare_development", "publisher", "setup"]


def prepare_development() -> None:
    """Nothing: without `KAFKA_BOOTSTRAP_SERVERS` none is needed."""


def setup(app: FastAPI) -> None:
    """Say how events come to Kafka: by the relay, or from the process of the API to itself."""
    app.add_middleware(TraceContext)
    app.state.kafka = load(KafkaSettings)
    if app.state.kafka.bootstrap_servers is None:
        app.state.by_itself.append(processes.everything)
    else:
        app.state.relays.append(processes.to_kafka)
        app.state.relay_checks.append(_require_topics)


def _require_topics(app: FastAPI) -> None:
    """A Kafka that is away is waited for, as later; a topic that is missing is nothing to wait for."""
    try:
        topics.require(app.state.kafka.client())
    except Unavailable as error:
        logger.warning("kafka: topics not looked for", error=str(error))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:  # noqa: ARG001 - every feature is called alike
    """Open nothing: what a process does in the background opens what it needs."""
    yield
