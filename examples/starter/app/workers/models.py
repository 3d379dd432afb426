"""How the schedule remembers."""

from datetime import datetime

from sqlmodel import Field

from app.db.base import Base, UtcDateTime


class ScheduleTick(Base, table=True):
    """The last moment at which a schedule was due and somebody saw to it."""

    __tablename__ = "schedule_tick"

    name: str = Field(primary_key=True, max_length=200)
    last: datetime = Field(sa_type=UtcDateTime)
