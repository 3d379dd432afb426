"""Request and response models for registration and passwords."""

from typing import Annotated

from pydantic import Field

from app.core.schemas import RequestModel, ResponseModel
from app.jwt.passwords import Password
from app.modules.user.schemas import Email, Name

MailToken = Annotated[str, Field(min_length=20, max_length=100, description="Token from the link in the email.")]


class Accepted(ResponseModel):
    """Response to a request that continues by email. It is the same whether the account exists or not."""

    message: str = Field(default="If the address is valid, you will receive an email shortly.")


class RegisterRequest(RequestModel):
    """A new account. The password is chosen later, with the link in the email."""

    email: Email
    name: Name


class VerifyEmailRequest(RequestModel):
    """The token from the email, and a password for the account."""

    token: MailToken
    password: Password


class ConfirmEmailRequest(RequestModel):
    """The token from the email to the new address."""

    token: MailToken


class ForgotPasswordRequest(RequestModel):
    """The account whose password to reset."""

    email: Email


class ResetPasswordRequest(RequestModel):
    """The token from the email, and a new password."""

    token: MailToken
    new_password: Password


class ChangePasswordRequest(RequestModel):
    """The current and the new password."""

    current_password: Password
    new_password: Password


class ChangeEmailRequest(RequestModel):
    """The current password and the new email address."""

    current_password: Password
    new_email: Email


class DeleteAccountRequest(RequestModel):
    """The current password, to confirm the deletion."""

    current_password: Password
