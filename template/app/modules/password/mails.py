"""What people are written."""

from app.core import openapi
from app.core.config import load
from app.mail import Mail
from app.security.settings import SecuritySettings

IGNORE = "If this was not you, you need not do anything."


def check_address(to: str) -> None:
    """Refuse an address that no mail can reach, while whoever gave it can be told.

    Raises:
        UnusableAddress: If no mail can be sent to it.
    """
    Mail(to, "", "")


def verify_email(to: str, token: str) -> Mail:
    """Ask for proof of the address of a new account."""
    return _mail(
        to,
        "Confirm your e-mail address",
        "Somebody, hopefully you, wants an account with this address. To open it and choose a password, follow this "
        "link within a day:\n\n"
        f"{_link('/verify-email', token)}\n\n{IGNORE}",
    )


def account_exists(to: str) -> Mail:
    """Tell somebody who registers again that they have an account."""
    return _mail(
        to,
        "You already have an account",
        "Somebody, hopefully you, wanted an account with this address. It has one: sign in with your password, or ask "
        f"for a new one if you have forgotten it.\n\n{IGNORE}",
    )


def reset_password(to: str, token: str) -> Mail:
    """Send a link to choose a new password."""
    return _mail(
        to,
        "Choose a new password",
        "Somebody, hopefully you, has forgotten the password of your account. To choose a new one, follow this link "
        f"within half an hour:\n\n{_link('/reset-password', token)}\n\n{IGNORE}",
    )


def password_changed(to: str) -> Mail:
    """Warn the owner, in case it was somebody else."""
    return _mail(
        to,
        "Your password was changed",
        "The password of your account was changed, and all other devices were signed out.\n\n"
        "If this was not you, ask for a new password at once.",
    )


def email_changed(to: str) -> Mail:
    """Warn the owner at the address before, in case it was somebody else."""
    return _mail(
        to,
        "Your e-mail address was changed",
        "Your account has another e-mail address now, and all devices were signed out.\n\n"
        "If this was not you, write to us at once.",
    )


def confirm_email(to: str, token: str) -> Mail:
    """Ask for proof of a new address."""
    return _mail(
        to,
        "Confirm your new e-mail address",
        f"Follow this link within a day to use this address for your account:\n\n"
        f"{_link('/confirm-email', token)}\n\n{IGNORE}",
    )


def _mail(to: str, subject: str, text: str) -> Mail:
    title = openapi.about()["title"]
    return Mail(to, f"{title}: {subject}", f"{text}\n\n-- \n{title}\n")


def _link(path: str, token: str) -> str:
    """Put the token behind a `#`: browsers keep it to themselves, so it is in no log and no Referer."""
    return load(SecuritySettings).link(f"{path}#token={token}")
