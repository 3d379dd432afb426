"""What clients send and get about accounts with a password."""

from typing import Annotated

from pydantic import Field

from app.core.schemas import RequestModel, ResponseModel
from app.jwt.passwords import Password
from app.modules.user.schemas import Email, Name

MailToken = Annotated[str, Field(min_length=20, max_length=100, description="From the link in the mail.")]


class Accepted(ResponseModel):
    """The answer to a request that goes on by mail, the same whether the address is known or not."""

    message: str = Field(default="If the address can be used, a mail is on its way to it.")


class RegisterRequest(RequestModel):
    """An account that somebody wants. Whoever reads the mail chooses the password."""

    email: Email
    name: Name


class VerifyEmailRequest(RequestModel):
    """Proof that the mail has arrived, and a password for the account."""

    token: MailToken
    password: Password


class ConfirmEmailRequest(RequestModel):
    """Proof that the mail to a new address has arrived."""

    token: MailToken


class ForgotPasswordRequest(RequestModel):
    """Whose password is forgotten."""

    email: Email


class ResetPasswordRequest(RequestModel):
    """A new password for whoever has got the mail."""

    token: MailToken
    new_password: Password


class ChangePasswordRequest(RequestModel):
    """A new password for whoever knows the old one."""

    current_password: Password
    new_password: Password


class ChangeEmailRequest(RequestModel):
    """A new address; the password says that it is really you."""

    current_password: Password
    new_email: Email


class DeleteAccountRequest(RequestModel):
    """The password says that it is really you."""

    current_password: Password
