"""What request and response models have in common."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class RequestModel(BaseModel):
    """A request body. A field it does not know is an error, not silently lost."""

    model_config = ConfigDict(extra="forbid")


class ResponseModel(BaseModel):
    """A response body, which can be built from a row."""

    model_config = ConfigDict(from_attributes=True)


class EntityModel(ResponseModel):
    """A response body about one thing that is stored."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    version: int = Field(description="Counts the changes; also the ETag.", examples=[1])


def omittable() -> Any:
    """Mark a field of a PATCH that may be left out but may not be null.

    The default is never used: `model_dump(exclude_unset=True)` gives only what was sent.
    """
    return Field(default_factory=lambda: None)
