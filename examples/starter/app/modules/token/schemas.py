"""Request and response models for tokens."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.core.schemas import RequestModel, ResponseModel
from app.jwt.passwords import Password


class Tokens(ResponseModel):
    """An access token and a refresh token (RFC 6749 §5.1)."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the type of the token, not a secret
    expires_in: int = Field(description="Seconds until the access token expires.", examples=[900])
    refresh_token: str = Field(description="Valid once, at `/auth/refresh`. Do not store it in `localStorage`.")
    scope: str = Field(description="Granted scopes.", examples=["read write"])


class SignInForm(BaseModel):
    """The OAuth2 password form (RFC 6749 §4.3.2), so that *Authorize* in the interactive documentation works."""

    grant_type: Literal["password"] = "password"
    username: str = Field(
        max_length=254, pattern=r"^[^\x00]*$", description="Your email address.", examples=["ada@example.com"]
    )
    password: Password
    scope: str = Field(default="", max_length=200, description="Requested scopes, if not all.", examples=["read"])


class RefreshRequest(RequestModel):
    """The refresh token to exchange."""

    refresh_token: Annotated[str, Field(min_length=20, max_length=100)]


class KeySet(ResponseModel):
    """Public keys for services that verify access tokens (RFC 7517)."""

    keys: list[dict[str, Any]]
