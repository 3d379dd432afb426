"""How the service remembers which events it has done."""

from sqlmodel import Field

from app.db.base import Expiring


class ProcessedEvent(Expiring, table=True):
    """That a consumer has done what an event asks for. It is kept longer than the event can come again."""

    __tablename__ = "processed_event"

    id: str = Field(max_length=500, primary_key=True)  # consumer and event; one column, as `db/expiry.py` wants it
