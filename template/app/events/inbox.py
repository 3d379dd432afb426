"""The inbox: each event is done once by each consumer, or kept for a person.

What fails is tried again a few times, and then is a dead letter: a row of the outbox, so
that `app dead-letters` shows it, and those behind it go on. An outage of the database is no
failure of an event; it is waited for.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

import structlog
from pydantic import ValidationError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession
from structlog.contextvars import bound_contextvars

from app.db import dialect
from app.db.base import utc_now
from app.db.errors import is_away
from app.db.session import Database, transaction
from app.events.consumers import BrokenPromise, Consumer
from app.events.envelope import CloudEvent
from app.events.models import ProcessedEvent
from app.outbox.failures import TryAgain, said, traced
from app.outbox.models import OutboxEvent
from app.outbox.repository import OutboxRepository, storable

DESTINATION = "consumers"
PAUSES_SECONDS = (0.2, 1.0)
# Longer than any topic keeps events: one that comes again after that would be done again.
REMEMBER = timedelta(days=30)
# Where another has just added the same id, it waits for the other's commit, and then leaves that id out.
REMEMBER_NEW = dialect.insert(ProcessedEvent).on_conflict_do_nothing().returning(col(ProcessedEvent.id))
# With one batch, and then what fails has had its pauses: Kafka takes a consumer that is busy for 5 minutes for dead.
PATIENCE_SECONDS = 60.0

T = TypeVar("T")

logger = structlog.get_logger(__name__)


class Inbox:
    """Does events, for one consumer."""

    def __init__(
        self,
        database: Database,
        consumer: Consumer,
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Work on `database`, and pause before each further attempt as long as there is patience."""
        self.database = database
        self.consumer = consumer
        self.pauses_seconds = pauses_seconds
        self.patience_seconds = patience_seconds

    async def take(self, messages: Sequence[bytes]) -> None:
        """Do what came, in its order. When it returns, all of it is done, or kept as a dead letter.

        Raises:
            OperationalError: If the database is away; all of it is to come again.
            TryAgain: If a function says that it may do it later.
        """
        envelopes: list[CloudEvent] = []
        for message in messages:
            try:
                envelope = CloudEvent.model_validate_json(message)
            except ValidationError as error:
                logger.error("event is none", consumer=self.consumer.name, error=said(error))  # noqa: TRY400 - no values
                await self._bury(f"{self.consumer.name} {sha256(message).hexdigest()}", _text(message), said(error))
            else:
                if self.consumer.wants(envelope):
                    envelopes.append(envelope)
        until = time.monotonic() + self.patience_seconds
        for together in [[each] for each in envelopes] if self.consumer.one_by_one else filter(None, [envelopes]):
            await self._do_all(together, until)

    async def _do_all(self, envelopes: Sequence[CloudEvent], until: float) -> None:
        """Do them in one transaction; if that fails, one by one."""
        try:
            await self._do(envelopes)
        except Exception as error:
            if is_waited_for(error):
                raise
            for envelope in envelopes:  # one of them has failed, and is found now
                await self._do_or_bury(envelope, until)

    async def _do(self, envelopes: Sequence[CloudEvent]) -> None:
        async with transaction(self.database.writers) as session:
            fresh = await self._fresh(session, {self._name(envelope): envelope for envelope in envelopes})
            await self.consumer.handle(session, fresh)
        logger.info("events done", consumer=self.consumer.name, count=len(fresh), known=len(envelopes) - len(fresh))

    async def _do_or_bury(self, envelope: CloudEvent, until: float) -> None:
        """Try a few times, with pauses up to some moment; then let those behind it go."""
        names = {"consumer": self.consumer.name, "event_id": envelope.id, "type": envelope.type}
        with bound_contextvars(**names, **envelope.context):
            attempts, failure = 1, await self._try(envelope)
            for pause in self.pauses_seconds:
                if failure is None or isinstance(failure, BrokenPromise):
                    break
                again = pause if time.monotonic() < until else 0.0
                logger.warning("event failed", error=said(failure), again_in_seconds=again)
                await asyncio.sleep(again)
                attempts, failure = attempts + 1, await self._try(envelope)
            if failure is not None:
                logger.error("event failed for the last time", error=said(failure), exception=traced(failure))
                payload = envelope.model_dump_json(exclude_none=True)
                await self._bury(self._name(envelope), payload, said(failure), envelope, attempts)

    async def _try(self, envelope: CloudEvent) -> Exception | None:
        try:
            await self._do([envelope])
        except Exception as error:
            if is_waited_for(error):
                raise
            return error
        return None

    async def _fresh(self, session: AsyncSession, named: dict[str, T]) -> list[T]:
        """Remember them, and leave out what has been remembered before.

        All do so in the same order: of two with the same events, one waits for the other, and never both.
        """
        until = utc_now() + REMEMBER
        connection = await session.connection()
        added = await connection.execute(REMEMBER_NEW, [{"id": name, "expires_at": until} for name in sorted(named)])
        new = set(added.scalars())
        return [each for name, each in named.items() if name in new]

    async def _bury(
        self, name: str, payload: str, error: str, envelope: CloudEvent | None = None, attempts: int = 1
    ) -> None:
        """Keep it for a person; it is done as far as Kafka is concerned."""
        async with transaction(self.database.writers) as session:
            if not await self._fresh(session, {name: payload}):
                return
            letter = OutboxEvent(
                destination=DESTINATION,
                queue=self.consumer.name,
                name=envelope.type if envelope else "unknown",
                payload=payload,
                request_id=(envelope.requestid if envelope else None) or "",
                attempts=attempts,
                last_error=storable(error),
                dead_at=utc_now(),
            )
            OutboxRepository(session).add(letter)

    def _name(self, envelope: CloudEvent) -> str:
        """Name an event for this consumer. Ids are those of their source (CloudEvents 1.0, 3.1)."""
        return f"{self.consumer.name} {envelope.source} {envelope.id}"


def is_waited_for(error: Exception) -> bool:
    """Tell whether it has nothing to do with the event: then it is waited for, with all that comes behind."""
    return isinstance(error, TryAgain) or is_away(error)


def _text(message: bytes) -> str:
    """Make text of any bytes, without the one character that PostgreSQL does not store."""
    return message.decode(errors="replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
