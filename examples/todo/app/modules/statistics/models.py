"""Daily count table."""

import datetime as dt

from sqlmodel import Field

from app.db.base import Base


class DailyCount(Base, table=True):
    """Number of events of one type on one UTC day."""

    __tablename__ = "daily_count"

    day: dt.date = Field(primary_key=True)
    type: str = Field(max_length=200, primary_key=True)
    count: int
