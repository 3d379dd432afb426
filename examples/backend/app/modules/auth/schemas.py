"""Request and response models for the user's own account and sessions."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.core.schemas import RequestModel, ResponseModel, omittable
from app.modules.user.schemas import Name, UserRead


class MeRead(UserRead):
    """Your account and the scopes of this token or session."""

    scopes: list[str] = Field(examples=[["read", "write"]])


class MeUpdate(RequestModel):
    """The fields of your account to change. Omitted fields keep their values."""

    name: Name = omittable()


class SessionRead(ResponseModel):
    """One of your sessions."""

    id: UUID
    created_at: datetime
    used_at: datetime = Field(description="Time of the sign-in or of the last token refresh.")
    expires_at: datetime
    client: str = Field(description="The `User-Agent` at sign-in.", examples=["Mozilla/5.0"])
    address: str = Field(examples=["203.0.113.7"])
    current: bool = Field(description="Whether this request uses the session.")
