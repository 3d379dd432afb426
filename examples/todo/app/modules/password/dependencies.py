"""Dependencies of the password routes."""

from typing import Annotated

from fastapi import Depends, Request

from app.core.runtime import runtime_of
from app.db.session import DatabaseDep, SessionDep
from app.jwt.attempts import AttemptLimiter
from app.jwt.passwords import Passwords
from app.jwt.settings import JwtSettings
from app.modules.password.service import PasswordService
from app.security.rate_limits import DeviceDep, RateLimitsDep


async def get_passwords(request: Request) -> Passwords:
    """Return the password hasher of the application."""
    return runtime_of(request)[Passwords]


PasswordsDep = Annotated[Passwords, Depends(get_passwords)]


async def get_service(session: SessionDep, database: DatabaseDep, passwords: PasswordsDep) -> PasswordService:
    """Return a service that uses the transaction of the request."""
    return PasswordService(session, database, passwords)


PasswordServiceDep = Annotated[PasswordService, Depends(get_service)]


async def get_attempts(request: Request, limits: RateLimitsDep, device: DeviceDep) -> AttemptLimiter:
    """Return the attempt limiter for this client."""
    return AttemptLimiter(limits, runtime_of(request)[JwtSettings], device)


AttemptLimiterDep = Annotated[AttemptLimiter, Depends(get_attempts)]
