"""The audit trail: one line in the log for each security event, without secrets.

The request id leads to the access line, which has the client's address.
"""

import hashlib
from uuid import UUID

import structlog

logger = structlog.get_logger("audit")


def audit(event: str, *, user_id: UUID | None = None, outcome: str = "success", **details: str | None) -> None:
    """Write down what happened.

    Args:
        event: What was tried: `login`, `password_reset`.
        user_id: Whose account it is about, if that is known.
        outcome: `success`, or why it was refused.
        **details: More about it; never a secret, and e-mail addresses only as `fingerprint`.
    """
    known = {name: value for name, value in details.items() if value is not None}
    log = logger.info if outcome == "success" else logger.warning
    log(event, audit=True, outcome=outcome, **({"user_id": str(user_id)} if user_id else {}), **known)


def fingerprint(email: str) -> str:
    """Tell attempts on the same address from others. Whoever guesses the address can check it; nobody else reads it."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()[:12]
