"""What clients send and get about tokens."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.core.schemas import RequestModel, ResponseModel
from app.jwt.passwords import Password


class Tokens(ResponseModel):
    """What proves who you are (RFC 6749 §5.1)."""

    access_token: str = Field(description="For the header `Authorization: Bearer …`.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the kind of token
    expires_in: int = Field(description="Seconds until the access token is of no use.", examples=[900])
    refresh_token: str = Field(description="Good for one use, at `/auth/refresh`. Keep it out of `localStorage`.")
    scope: str = Field(description="What the tokens may be used for.", examples=["read write"])


class SignInForm(BaseModel):
    """A form, as OAuth has it (RFC 6749 §4.3.2), so that *Authorize* on the page of the documentation works."""

    grant_type: Literal["password"] = "password"
    username: str = Field(
        max_length=254, pattern=r"^[^\x00]*$", description="Your e-mail address.", examples=["ada@example.com"]
    )
    password: Password
    scope: str = Field(default="", max_length=200, description="Asks for less than you may do.", examples=["read"])


class RefreshRequest(RequestModel):
    """A refresh token to exchange."""

    refresh_token: Annotated[str, Field(min_length=20, max_length=100)]


class KeySet(ResponseModel):
    """Public keys, for those who check access tokens themselves (RFC 7517)."""

    keys: list[dict[str, Any]]
