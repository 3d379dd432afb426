"""Base classes of request and response models."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class RequestModel(BaseModel):
    """A request body. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")


class ResponseModel(BaseModel):
    """A response body, which can be created from a row."""

    model_config = ConfigDict(from_attributes=True)


class EntityModel(ResponseModel):
    """A response body for a stored entity."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    version: int = Field(description="Number of the current version; also the ETag.", examples=[1])


def omittable() -> Any:
    """Declare a field of a PATCH request that may be omitted but must not be null.

    The default is never used: `model_dump(exclude_unset=True)` contains only the fields that were sent.
    """
    return Field(default_factory=lambda: None)
