"""How counts are stored."""

import datetime as dt

from sqlmodel import Field

from app.db.base import Base


class DailyCount(Base, table=True):
    """How often something has happened on one day, in UTC."""

    __tablename__ = "daily_count"

    day: dt.date = Field(primary_key=True)
    type: str = Field(max_length=200, primary_key=True)
    count: int
