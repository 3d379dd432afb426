"""Table of handled events."""

from sqlmodel import Field

from app.db.base import Expiring


class ProcessedEvent(Expiring, table=True):
    """An event that a consumer has handled. Kept longer than the event can be delivered again."""

    __tablename__ = "processed_event"

    id: str = Field(max_length=500, primary_key=True)  # consumer and event; one column for `db/expiry.py`
