"""What is said about counts."""

import datetime as dt

from pydantic import BaseModel, Field


class DailyCountRead(BaseModel):
    """How often something has happened on one day."""

    day: dt.date = Field(description="In UTC.")
    type: str = Field(description="What has happened.", examples=["UserRegistered"])
    count: int = Field(examples=[3])
