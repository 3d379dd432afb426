"""Response models for statistics."""

import datetime as dt

from pydantic import BaseModel, Field


class DailyCountRead(BaseModel):
    """Number of events of one type on one day."""

    day: dt.date = Field(description="Day in UTC.")
    type: str = Field(description="Event type.", examples=["user.registered.v1"])
    count: int = Field(examples=[3])
