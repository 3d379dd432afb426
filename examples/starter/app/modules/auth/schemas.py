"""What clients send and get about their own account and sessions."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.core.schemas import RequestModel, ResponseModel, omittable
from app.modules.user.schemas import Name, UserRead


class MeRead(UserRead):
    """Your own account, and what you may do with this token or session."""

    scopes: list[str] = Field(examples=[["read", "write"]])


class MeUpdate(RequestModel):
    """The fields of your account to change."""

    name: Name = omittable()


class SessionRead(ResponseModel):
    """One of your sessions."""

    id: UUID
    created_at: datetime
    used_at: datetime = Field(description="When you signed in, or a token was last refreshed.")
    expires_at: datetime
    client: str = Field(description="What the browser or program calls itself.", examples=["Mozilla/5.0"])
    address: str = Field(examples=["203.0.113.7"])
    current: bool = Field(description="The session of this request.")
