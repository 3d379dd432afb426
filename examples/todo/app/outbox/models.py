"""The outbox table."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Index, Integer, text
from sqlmodel import Field

from app.db.base import Base, UtcDateTime, utc_now

PENDING = text("sent_at IS NULL AND dead_at IS NULL")
IN_FLIGHT = text("sent_at IS NOT NULL AND dead_at IS NULL")
LEASED = text("leased_until IS NOT NULL")


class MessageState(StrEnum):
    """How far a message is. Processed messages are deleted."""

    PENDING = "pending"  # not sent yet, or waiting for the next attempt (`next_attempt_at`)
    SENT = "sent"  # not started yet (`sent_at`)
    RUNNING = "running"  # leased by a worker (`leased_until`)
    DEAD = "dead"  # a dead letter that needs manual intervention (`dead_at`)


class OutboxMessage(Base, table=True):
    """A job or an event to be processed after the commit. Its timestamps determine its `MessageState`."""

    __tablename__ = "outbox_message"
    __table_args__ = (
        Index("ix_outbox_message_due", "number", postgresql_where=PENDING, sqlite_where=PENDING),
        Index("ix_outbox_message_key", "key", "number"),
        # At most one message per key is in flight, even if two relays do not see each other's commit yet.
        Index("uq_outbox_message_in_flight", "key", unique=True, postgresql_where=IN_FLIGHT, sqlite_where=IN_FLIGHT),
        Index("ix_outbox_message_sent_at", "sent_at"),
        Index("ix_outbox_message_leased_until", "leased_until", postgresql_where=LEASED, sqlite_where=LEASED),
    )

    # The order of arrival. SQLite autoincrements only columns of type INTEGER.
    number: int | None = Field(default=None, primary_key=True, sa_type=BigInteger().with_variant(Integer, "sqlite"))
    id: UUID = Field(default_factory=uuid4, unique=True)
    destination: str = Field(max_length=20)  # who processes it, for example the workers
    queue: str = Field(max_length=249)  # the queue at the destination
    name: str = Field(max_length=200)
    # Messages with the same key are processed one at a time, in the order of their numbers.
    key: str | None = Field(default=None, max_length=200)
    payload: str
    request_id: str = Field(default="", max_length=200)
    # When it was added, or for what it was scheduled.
    due_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    leased_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = Field(default=0)
    next_attempt_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str = Field(default="", max_length=1000)
    dead_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
