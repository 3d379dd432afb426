"""The outbox table."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Index, Integer, text
from sqlmodel import Field

from app.db.base import Base, UtcDateTime, utc_now

DUE = text("sent_at IS NULL AND dead_at IS NULL")
UNDER_WAY = text("sent_at IS NOT NULL AND dead_at IS NULL")
TAKEN = text("taken_until IS NOT NULL")


class OutboxEvent(Base, table=True):
    """A job or an event to be processed after the commit.

    Its states: pending (`sent_at` is null), sent, and running (`taken_until` is set). Processed messages are deleted.
    After a failure it is pending again until `next_attempt_at`, or it is a dead letter (`dead_at`) that needs manual
    intervention.
    """

    __tablename__ = "outbox_event"
    __table_args__ = (
        Index("ix_outbox_event_due", "number", postgresql_where=DUE, sqlite_where=DUE),
        Index("ix_outbox_event_key", "key", "number"),
        # At most one message per key is in flight, even if two relays do not see each other's commit yet.
        Index("uq_outbox_event_under_way", "key", unique=True, postgresql_where=UNDER_WAY, sqlite_where=UNDER_WAY),
        Index("ix_outbox_event_sent_at", "sent_at"),
        Index("ix_outbox_event_taken_until", "taken_until", postgresql_where=TAKEN, sqlite_where=TAKEN),
    )

    # The order of arrival. SQLite autoincrements only columns of type INTEGER.
    number: int | None = Field(default=None, primary_key=True, sa_type=BigInteger().with_variant(Integer, "sqlite"))
    id: UUID = Field(default_factory=uuid4, unique=True)
    destination: str = Field(max_length=20)
    queue: str = Field(max_length=249)  # the queue at the destination
    name: str = Field(max_length=200)
    # Messages with the same key are processed one at a time, in the order of their numbers.
    key: str | None = Field(default=None, max_length=200)
    payload: str
    request_id: str = Field(default="", max_length=200)
    # When it was added, or for what it was scheduled.
    due_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    taken_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = Field(default=0)
    next_attempt_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str = Field(default="", max_length=1000)
    dead_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
