"""What request and response models have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RequestModel(BaseModel):
    """A request body. A field it does not know is an error, not silently lost."""

    model_config = ConfigDict(extra="forbid")


class ResponseModel(BaseModel):
    """A response body, which can be built from a row."""

    model_config = ConfigDict(from_attributes=True)


def omittable() -> Any:
    """Mark a field of a PATCH that may be left out but may not be null.

    The default is never used: `model_dump(exclude_unset=True)` gives only what was sent.
    """
    return Field(default_factory=lambda: None)
