"""Request and response models for sign-in with a provider."""

from typing import Annotated

from pydantic import Field

from app.core.schemas import ResponseModel
from app.modules.user.schemas import UserRead

# A path of the application: one slash, not followed by a slash or backslash, and no characters that browsers drop or
# change. Anything else would be an open redirect.
ReturnTo = Annotated[
    str, Field(max_length=1000, pattern=r"^/([!-.0-\[\]-~][!-\[\]-~]*)?$", examples=["/todos?status=open"])
]


class ProviderRead(ResponseModel):
    """An identity provider users can sign in with."""

    name: str = Field(examples=["acme"])
    label: str = Field(description="Display name.", examples=["Acme Accounts"])


class BrowserSessionRead(ResponseModel):
    """The session of this browser."""

    user: UserRead
    csrf_token: str = Field(description="Send it as `X-CSRF-Token` with every request except GET.")


class LogoutRead(ResponseModel):
    """The result of signing out."""

    logout_url: str | None = Field(description="URL that also signs the user out at the provider.")
