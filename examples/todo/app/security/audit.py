"""The audit log: one log line for each security event, without secrets.

The access log line with the same request id has the address of the client. Commands have no request.
"""

import hashlib
from uuid import UUID

import structlog

logger = structlog.get_logger("audit")


def audit(event: str, *, user_id: UUID | None = None, outcome: str = "success", **details: str | None) -> None:
    """Log a security event.

    Args:
        event: Name of the event, such as `login`.
        user_id: The affected user, if known.
        outcome: `success`, or the reason for the rejection.
        **details: Additional fields. Never log secrets; log email addresses only as `fingerprint`.
    """
    fields = {name: value for name, value in details.items() if value is not None}
    log = logger.info if outcome == "success" else logger.warning
    log(event, audit=True, outcome=outcome, **({"user_id": str(user_id)} if user_id else {}), **fields)


def fingerprint(email: str) -> str:
    """Return a short hash that identifies an email address in the log without revealing it."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()[:12]
