"""The table of schedules."""

from datetime import datetime

from sqlmodel import Field

from app.db.base import Base, UtcDateTime


class ScheduleState(Base, table=True):
    """The time up to which the runs of a schedule are handled."""

    __tablename__ = "schedule_state"

    name: str = Field(primary_key=True, max_length=200)
    handled_until: datetime = Field(sa_type=UtcDateTime)
