"""How work that waits is stored."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Index, Integer, text
from sqlmodel import Field

from app.db.base import Base, UtcDateTime, utc_now

DUE = text("sent_at IS NULL AND dead_at IS NULL")
UNDER_WAY = text("sent_at IS NOT NULL AND dead_at IS NULL")
TAKEN = text("taken_until IS NOT NULL")


class OutboxEvent(Base, table=True):
    """Something to be done after the commit, until it is done.

    It waits (`sent_at` is empty), is sent, is taken by whoever does it (`taken_until`), and
    is deleted; or it waits again after a failure (`next_attempt_at`), or is dead and waits
    for a person (`dead_at`).
    """

    __tablename__ = "outbox_event"
    __table_args__ = (
        Index("ix_outbox_event_due", "number", postgresql_where=DUE, sqlite_where=DUE),
        Index("ix_outbox_event_key", "key", "number"),
        # Of each key one is under way: two relays that do not see each other's commit yet cannot send two.
        Index("uq_outbox_event_under_way", "key", unique=True, postgresql_where=UNDER_WAY, sqlite_where=UNDER_WAY),
        Index("ix_outbox_event_sent_at", "sent_at"),
        Index("ix_outbox_event_taken_until", "taken_until", postgresql_where=TAKEN, sqlite_where=TAKEN),
    )

    # The order of arrival. SQLite numbers rows by itself only if the type is exactly INTEGER.
    number: int | None = Field(default=None, primary_key=True, sa_type=BigInteger().with_variant(Integer, "sqlite"))
    id: UUID = Field(default_factory=uuid4, unique=True)
    destination: str = Field(max_length=20)
    queue: str = Field(max_length=249)  # the place at its destination
    name: str = Field(max_length=200)
    # Rows of one key are done one after the other, in the order of their numbers.
    key: str | None = Field(default=None, max_length=200)
    payload: str
    request_id: str = Field(default="", max_length=200)
    # Since when it could have been done: when it was added, or the moment that it was to wait for.
    due_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    taken_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = Field(default=0)
    next_attempt_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str = Field(default="", max_length=1000)
    dead_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
