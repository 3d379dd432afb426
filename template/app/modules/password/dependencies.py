"""Dependencies of the password routes."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import BackgroundTasks, Depends, Request

from app.core.runtime import runtime_of
from app.db.session import DatabaseDep, SessionDep, transaction
from app.jwt.attempts import AttemptLimiter
from app.jwt.passwords import Passwords
from app.jwt.settings import JwtSettings
from app.modules.password.service import PasswordService
from app.security.rate_limits import DeviceDep, RateLimitsDep

DELAY_SECONDS = (0.5, 2.5)


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

Work = Callable[[PasswordService], Awaitable[None]]


async def get_after_answering(
    background: BackgroundTasks, database: DatabaseDep, passwords: PasswordsDep
) -> Callable[[Work], None]:
    """Return a function that runs work at a random time after the response, in a separate transaction.

    So the timing of neither this response nor the next one reveals whether an account exists.
    """

    async def do(work: Work) -> None:
        await asyncio.sleep(random.uniform(*DELAY_SECONDS))  # noqa: S311 - hides timing, creates no secret
        async with transaction(database.write) as session:
            await work(PasswordService(session, database, passwords))

    return lambda work: background.add_task(do, work)


AfterAnswering = Annotated[Callable[[Work], None], Depends(get_after_answering)]
