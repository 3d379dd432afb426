"""What clients send and get about signing in."""

from typing import Annotated

from pydantic import Field

from app.core.schemas import ResponseModel
from app.modules.user.schemas import UserRead

# A page of the application: one slash, then neither a slash nor a backslash, and nothing a browser would drop or change.
ReturnTo = Annotated[
    str, Field(max_length=1000, pattern=r"^/([!-.0-\[\]-~][!-\[\]-~]*)?$", examples=["/todos?status=open"])
]


class ProviderRead(ResponseModel):
    """A provider to sign in with."""

    name: str = Field(examples=["acme"])
    label: str = Field(description="What people call it.", examples=["Acme Accounts"])


class BrowserSessionRead(ResponseModel):
    """Who has signed in with this browser."""

    user: UserRead
    csrf_token: str = Field(description="Send it as `X-CSRF-Token` with everything but GET.")


class LogoutRead(ResponseModel):
    """What is left to do after signing out here."""

    logout_url: str | None = Field(description="Where to send the browser to sign out at the provider too.")
